"""What is done to the data of the fleet. Every case is planned: no request may be lost, and every answer must be right for the
data that the instance held (publishing.py)."""
import os
import shutil


def publish(fleet):
    """publish new data, a canary first; one instance's fetch is killed"""
    publishing = fleet.publishing
    follower = publishing.followers[2]
    (follower.root / "hang").touch()
    run = publishing.publish_later("all", "--canary", "--instance", "i-1", "--hold", "1")
    publishing.wait_until("instance 2 hangs", (follower.root / "hangs").exists)
    others = {n: publishing.held(n) for n in (1, 2)}
    if others != {1: "all", 2: "first"}:
        raise SystemExit(f"test-fleet: the canary is not the first: {others}")
    follower.kill()
    run()
    must_hold(publishing, {1: "all", 2: "all", 3: "all"})


def back(fleet):
    """go back to the data before"""
    fleet.publishing.publish_store("--back")
    must_hold(fleet.publishing, {1: "first", 2: "first", 3: "first"})


def full_disk(fleet):
    """publish new data while the disk of one is full; then there is room"""
    publishing = fleet.publishing
    stores = publishing.followers[2].stores
    # It would make room of the store before.
    shutil.rmtree(stores / os.readlink(stores / "last"))
    full = stores / "full"
    try:
        with open(full, "wb", buffering=0) as file:
            while file.write(bytes(1 << 16)):
                pass
    except OSError:
        pass
    publishing.publish("second", "--no-wait")
    publishing.wait_until("instance 2 has no room", lambda: "no room" in publishing.report(2).get("failed", ""))
    publishing.wait_until("the others have it", lambda: publishing.held(1) == publishing.held(3) == "second")
    must_hold(publishing, {1: "second", 2: "first", 3: "second"})
    full.unlink()
    publishing.wait_until("instance 2 has it too", lambda: publishing.held(2) == "second")


def damaged(fleet):
    """publish data with a damaged object: nobody takes it; upload it again"""
    publishing = fleet.publishing
    content = next(content for content, name in publishing.contents.items() if name == "all")
    publishing.curl("-X PUT -H 'Content-Type: application/octet-stream' --data-binary garbage", f"/twitter/stores/{content}/data.mdb.zst")
    publishing.publish("all", code=1)
    must_hold(publishing, {1: "second", 2: "second", 3: "second"})
    publishing.publish("all", "--again", "--no-wait")
    publishing.wait_until("all have it", lambda: {publishing.held(n) for n in (1, 2, 3)} == {"all"})


def alarm(fleet):
    """publish data to a canary, whose alarm goes on while it is held: it goes back, nobody else takes it"""
    publishing = fleet.publishing
    taken = {n: len(publishing.followers[n].swaps) for n in (2, 3)}
    # Longer than anybody waits here: it is the alarm that ends it.
    run = publishing.publish_later("second", "--canary", "--instance", "i-1", "--hold", "3600", code=1)
    publishing.wait_until("the canary has it", lambda: publishing.held(1) == "second")
    publishing.alarms.write_text("trident-error-share\n")
    said = run()
    publishing.alarms.unlink()
    if "alarms are on: trident-error-share" not in said:
        raise SystemExit(f"test-fleet: publish-store does not tell of the alarm: {said}")
    publishing.wait_until("the canary goes back", lambda: publishing.held(1) == "all")
    must_hold(publishing, {1: "all", 2: "all", 3: "all"})
    if taken != {n: len(publishing.followers[n].swaps) for n in (2, 3)}:
        raise SystemExit("test-fleet: another instance than the canary took it")


def must_hold(publishing, wanted):
    held = {instance: publishing.held(instance) for instance in wanted}
    if held != wanted:
        raise SystemExit(f"test-fleet: instances hold {held} instead of {wanted}")


STORES = [publish, back, full_disk, damaged, alarm]
