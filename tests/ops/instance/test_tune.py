"""trident-tune on machines of files: every shape of processors and queues, applied, again, killed, undone."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[3] / "ami/rootfs/usr/lib/trident"

# A driver: rings and moderation in files. As real ones do, it requests its interrupts again when a ring is resized, so
# that they go anywhere again, and moderates by itself when told to adapt.
ETHTOOL = """#!/bin/sh
option=$1 at=$FAKE/driver/$2
[ -d "$at" ] || { echo 'netlink error: No such device' >&2; exit 76; }
shift 2
case $option in
-g) [ -e "$at/ring" ] || { echo 'netlink error: Operation not supported' >&2; exit 1; }
    printf 'Ring parameters for it:\\nPre-set maximums:\\nRX:\\t\\t%s\\nRX Mini:\\tn/a\\nTX:\\t\\t1024\\n' "$(cat "$at/largest")"
    printf 'Current hardware settings:\\nRX:\\t\\t%s\\nRX Mini:\\tn/a\\nTX:\\t\\t1024\\n' "$(cat "$at/ring")" ;;
-G) echo "$2" >"$at/ring"; for irq in $(cat "$at/irqs"); do echo "$(cat "$at/anywhere")" >"$irq"; done ;;
-c) [ -e "$at/adaptive" ] || { echo 'netlink error: Operation not supported' >&2; exit 1; }
    printf 'Adaptive RX: %s  TX: off\\n\\nrx-usecs:\\t%s\\nrx-frames:\\tn/a\\n' "$(cat "$at/adaptive")" "$(cat "$at/usecs")" ;;
-C) case $1 in adaptive-rx) echo "$2" >"$at/adaptive"; echo 8 >"$at/usecs" ;; rx-usecs) echo "$2" >"$at/usecs" ;; esac ;;
esac
"""

# Runs tune and kills it just before its N-th change.
DYING = """
import importlib.machinery, importlib.util, os, sys
scripts, left = sys.argv[1], [int(sys.argv[2])]
sys.path.insert(0, scripts)
import knobs
loader = importlib.machinery.SourceFileLoader("tune", scripts + "/tune")
tune = importlib.util.module_from_spec(importlib.util.spec_from_loader("tune", loader))
loader.exec_module(tune)
def dying(work):
    def step(*arguments):
        left[0] -= 1
        if left[0] == 0:
            os._exit(137)
        work(*arguments)
    return step
for kind, name in ((knobs.File, "write"), (knobs.Ethtool, "write"), (tune.State, "keep")):
    setattr(kind, name, dying(getattr(kind, name)))
sys.argv = ["tune", *sys.argv[3:]]
sys.exit(tune.main())
"""


class Tune(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.fake = pathlib.Path(directory.name)
        self.root = self.fake / "root"
        self.interrupts = []
        self.put("proc/sys/net/core/busy_poll", 0)
        self.put("proc/sys/net/core/busy_read", 0)
        (self.fake / "ethtool").write_text(ETHTOOL)
        (self.fake / "ethtool").chmod(0o755)
        self.environment = os.environ | {"ROOT": str(self.root), "FAKE": str(self.fake), "SETTLED_SECONDS": "0.1",
                                         "PATH": f"{self.fake}:{os.environ['PATH']}"}

    # --- a machine of files -----------------------------------------------------------------------------

    def put(self, path, value):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")

    def get(self, path):
        return (self.root / path).read_text().strip()

    def machine(self, online, siblings=None, nodes=None):
        self.online = online
        self.put("sys/devices/system/cpu/online", online)
        for cpu, text in (siblings or {}).items():
            self.put(f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", text)
        for node, text in (nodes or {}).items():
            self.put(f"sys/devices/system/node/node{node}/cpulist", text)

    def card(self, name, queues, rx=None, ring=(1024, 8192), adaptive="off", node=-1, irq="{name}-Tx-Rx-{queue}", virtio=False):
        """A card with its PCI device, queues and interrupts, the first of which is for management."""
        pci = f"sys/devices/pci0/{name}"
        place = f"{pci}/virtio0" if virtio else pci
        net = self.root / "sys/class/net" / name
        net.mkdir(parents=True)
        self.put(f"{place}/numa_node", node)
        (net / "device").symlink_to(self.root / place)
        self.put(f"sys/class/net/{name}/type", 1)
        for queue in range(queues):
            self.put(f"sys/class/net/{name}/queues/tx-{queue}/xps_cpus", "00000000")
        for queue in range(rx or queues):
            self.put(f"sys/class/net/{name}/queues/rx-{queue}/rps_cpus", "00000000")
        first = 20 + 40 * len(list((self.root / "sys/class/net").iterdir()))
        names = [f"{name}-mgmnt@pci:0000:00:05.0", *(irq.format(name=name, queue=queue) for queue in range(rx or queues))]
        for number, called in enumerate(names, first):
            self.put(f"{pci}/msi_irqs/{number}", "msix")
            self.put(f"proc/irq/{number}/smp_affinity_list", self.online)
            self.interrupts.append(f"{number:4}:  0  0  PCI-MSIX-0000:00:05.0  {number}-edge  {called}")
        self.put("proc/interrupts", "           CPU0  CPU1\n" + "\n".join([*self.interrupts, " NMI:  0  0  Non-maskable interrupts"]))
        self.driver(name, ring, adaptive, [f"proc/irq/{first + 1 + queue}/smp_affinity_list" for queue in range(rx or queues)])
        return list(range(first + 1, first + 1 + (rx or queues)))

    def driver(self, name, ring, adaptive, affinities):
        at = self.fake / "driver" / name
        at.mkdir(parents=True)
        (at / "irqs").write_text("\n".join(str(self.root / path) for path in affinities))
        (at / "anywhere").write_text(self.online + "\n")
        if ring:
            (at / "ring").write_text(f"{ring[0]}\n")
            (at / "largest").write_text(f"{ring[1]}\n")
        if adaptive:
            (at / "adaptive").write_text(f"{adaptive}\n")
            (at / "usecs").write_text("20\n")

    def snapshot(self):
        files = [path for top in (self.root, self.fake / "driver") for path in top.rglob("*") if path.is_file()]
        return {str(path): path.read_text() for path in files if "run/trident" not in str(path)}

    def tune(self, *arguments, code=0, **more):
        run = subprocess.run([sys.executable, str(SCRIPTS / "tune"), *arguments], env=self.environment | more,
                             capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        return run.stdout + run.stderr

    def affinities(self, interrupts):
        return [self.get(f"proc/irq/{number}/smp_affinity_list") for number in interrupts]

    def masks(self, name, kind):
        at = self.root / "sys/class/net" / name / "queues"
        return [self.get(path.relative_to(self.root) / ("xps_cpus" if kind == "tx" else "rps_cpus"))
                for path in sorted(at.glob(f"{kind}-*"), key=lambda path: int(path.name[3:]))]

    def undone(self, before):
        self.tune("--off")
        self.assertEqual(self.snapshot(), before)
        self.assertEqual(self.records(), [])

    def records(self):
        """What the state file would put back."""
        path = self.root / "run/trident/tune.json"
        return json.loads(path.read_text()) if path.exists() else []

    # --- tests --------------------------------------------------------------------------------------------

    def test_applied_again_and_undone_exactly(self):
        self.machine("0-1")
        interrupts = self.card("ens5", 2)
        before = self.snapshot()
        said = self.tune()
        self.assertEqual(said.splitlines(), [
            "ens5 ring: 1024 -> 4096", "ens5 adaptive: off rx-usecs 20 -> on", "ens5 irq: 0-1 0-1 -> 0 1",
            "ens5 xps: 00000000 00000000 -> 1 2", "ens5 rps: skipped: a queue for every processor",
            "kernel busy_poll: left alone"])
        self.assertEqual(self.affinities(interrupts), ["0", "1"], "and not anywhere again, by the ring")
        self.assertEqual(self.masks("ens5", "tx"), ["1", "2"])
        self.assertEqual((self.fake / "driver/ens5/ring").read_text(), "4096\n")
        tuned = self.snapshot()
        again = self.tune()
        self.assertEqual(self.snapshot(), tuned)
        self.assertNotIn("->", again)
        self.assertEqual(again.count("(already)"), 4)
        self.assertIn("ens5 ring: 4096 (was 1024)", self.tune("--status"))
        self.undone(before)
        self.assertEqual(self.tune("--off"), "", "twice")
        self.tune()
        self.assertEqual(self.snapshot(), tuned, "after --off as after the first time")

    def test_a_dry_run_and_status_change_nothing(self):
        self.machine("0-1")
        self.card("ens5", 2)
        before = self.snapshot()
        self.assertIn("ens5 ring: 1024 -> 4096 (dry run)", self.tune("--dry-run"))
        self.assertIn("ens5 adaptive: off rx-usecs 20\n", self.tune("--status"))
        self.assertEqual(self.snapshot(), before)
        self.tune()
        tuned = self.snapshot()
        self.tune("--status")
        self.assertEqual(self.snapshot(), tuned)

    def test_a_card_without_rings_or_moderation_keeps_the_rest(self):
        self.machine("0-1")
        self.card("eth0", 2, ring=None, adaptive=None)
        said = self.tune()
        self.assertIn("eth0 ring: skipped: device lacks it", said)
        self.assertIn("eth0 adaptive: skipped: device lacks it", said)
        self.assertEqual(self.masks("eth0", "tx"), ["1", "2"])

    def test_a_driver_that_shows_a_knob_and_does_not_take_it(self):
        self.machine("0-1")
        self.card("eth0", 2)
        before = self.snapshot()
        (self.fake / "ethtool").write_text(ETHTOOL.replace('adaptive-rx) echo "$2" >"$at/adaptive"; echo 8 >"$at/usecs"', "adaptive-rx) true"))
        said = self.tune()
        self.assertIn("eth0 adaptive: skipped: the driver does not take it", said)
        self.assertIn("eth0 adaptive: off rx-usecs 20\n", self.tune("--status"), "and was nothing else before")
        self.assertEqual(self.masks("eth0", "tx"), ["1", "2"])
        self.undone(before)

    def test_a_ring_is_no_larger_than_the_device_allows_and_never_made_smaller(self):
        self.machine("0-1")
        self.card("ens5", 2, ring=(1024, 2048))
        self.card("ens6", 2, ring=(8192, 8192))
        said = self.tune()
        self.assertIn("ens5 ring: 1024 -> 2048", said)
        self.assertIn("ens6 ring: 8192 (already)", said)

    def test_a_ring_resized_alone_leaves_the_interrupts_where_they_were(self):
        self.machine("0-1")
        interrupts = self.card("ens5", 2)
        self.tune()
        for arguments in (["--off"], []):
            self.tune("--only", "ring", *arguments)
            self.assertEqual(self.affinities(interrupts), ["0", "1"])

    def test_one_processor(self):
        self.machine("0")
        interrupts = self.card("ens5", 1)
        before = self.snapshot()
        said = self.tune()
        self.assertEqual(self.affinities(interrupts), ["0"])
        self.assertIn("ens5 xps: skipped: a single queue", said)
        self.assertIn("ens5 rps: skipped: a queue for every processor", said)
        self.undone(before)

    def test_more_processors_than_queues(self):
        self.machine("0-15")
        interrupts = self.card("ens5", 8)
        before = self.snapshot()
        self.tune()
        self.assertEqual(self.affinities(interrupts), [str(cpu) for cpu in range(8)])
        self.assertEqual(self.masks("ens5", "tx"), [f"{1 << cpu | 1 << cpu + 8:x}" for cpu in range(8)], "each processor once")
        self.assertEqual(self.masks("ens5", "rx"), ["ff00"] * 8, "those that take no interrupt")
        self.undone(before)

    def test_received_packets_stay_in_the_memory_domain_and_off_sibling_threads(self):
        # Processors 8-11 are the second threads of 0-3; the card is near node 0, which has 0-5 and 8-11.
        self.machine("0-11", siblings={cpu: f"{cpu},{cpu + 8}" for cpu in range(4)}, nodes={0: "0-5,8-11", 1: "6-7"})
        interrupts = self.card("ens5", 4, node=0)
        self.tune()
        self.assertEqual(self.affinities(interrupts), ["0", "1", "2", "3"])
        self.assertEqual(self.masks("ens5", "rx"), ["30"] * 4)
        self.assertEqual(sum(int(mask, 16) for mask in self.masks("ens5", "tx")), 0xfff, "but every processor sends")

    def test_more_queues_than_processors(self):
        self.machine("0-1")
        interrupts = self.card("ens5", 5)
        before = self.snapshot()
        said = self.tune()
        self.assertEqual(self.affinities(interrupts), ["0", "1", "0", "1", "0"])
        self.assertEqual(self.masks("ens5", "tx"), ["1", "2", "1", "2", "1"])
        self.assertIn("ens5 rps: skipped", said)
        self.undone(before)

    def test_only_processors_that_are_online(self):
        self.machine("0,2-3")
        interrupts = self.card("ens5", 2)
        before = self.snapshot()
        self.tune()
        self.assertEqual(self.affinities(interrupts), ["0", "2"])
        self.assertEqual(self.masks("ens5", "tx"), ["9", "4"])
        self.assertEqual(self.masks("ens5", "rx"), ["8", "8"])
        self.undone(before)

    def test_more_than_32_processors(self):
        self.machine("0-63")
        self.card("ens5", 32)
        self.tune()
        self.assertEqual(self.masks("ens5", "tx")[4], "10,00000010")
        self.assertEqual(self.masks("ens5", "rx")[0], "ffffffff,00000000")
        again = self.tune()
        self.assertNotIn("->", again)

    def test_several_cards_and_none_that_is_virtual(self):
        self.machine("0-1")
        first, second = self.card("ens5", 2), self.card("ens6", 1, rx=2, adaptive="on", virtio=True, irq="virtio0-input.{queue}")
        self.put("sys/class/net/lo/type", 772)
        self.put("sys/class/net/veth0/type", 1)
        self.put("sys/class/net/veth0/queues/tx-0/xps_cpus", "0")
        before = self.snapshot()
        said = self.tune()
        self.assertEqual(self.affinities(first + second), ["0", "1", "0", "1"])
        self.assertIn("ens6 adaptive: on (already)", said)
        self.assertIn("ens6 xps: skipped: a single queue", said)
        self.assertNotIn("veth0", said)
        self.tune("--off", "--interface", "ens5")
        self.assertEqual(self.masks("ens5", "tx"), ["00000000"] * 2)
        self.assertEqual(self.affinities(second), ["0", "1"], "only what was asked for")
        self.undone(before)

    def test_killed_at_every_step_and_undone(self):
        self.machine("0-3")
        self.card("ens5", 2)
        before = self.snapshot()
        for step in range(1, 100):
            if self.killed(step) != 137:
                break
            self.undone(before)
        self.assertGreater(step, 14, "a record and a write for each of ring, adaptive, 2 irq, 2 xps, 2 rps")

    def test_undoing_killed_at_every_step_and_done_again(self):
        self.machine("0-3")
        self.card("ens5", 2)
        before = self.snapshot()
        for step in range(1, 100):
            self.tune()
            if self.killed(step, "--off") != 137:
                break
            self.undone(before)
        self.assertGreater(step, 14)

    def killed(self, step, *arguments):
        return subprocess.run([sys.executable, "-c", DYING, str(SCRIPTS), str(step), *arguments], env=self.environment,
                              capture_output=True, timeout=60).returncode

    def test_a_file_that_cannot_be_read_fails_its_knob_alone(self):
        self.machine("0-3")
        self.card("ens5", 2)
        broken = self.root / "sys/class/net/ens5/queues/rx-1/rps_cpus"
        broken.unlink()
        broken.mkdir()
        before = self.snapshot()
        said = self.tune(code=1)
        self.assertIn("ens5 rps: FAILED", said)
        self.assertEqual(self.masks("ens5", "tx"), ["5", "a"])
        self.undone(before)

    def test_without_ethtool_the_rest_is_turned(self):
        self.machine("0-1")
        self.card("ens5", 2)
        said = self.tune(code=1, PATH=str(self.root))
        self.assertIn("ens5 ring: FAILED: ethtool is not installed", said)
        self.assertEqual(self.masks("ens5", "tx"), ["1", "2"])

    def test_interrupts_that_irqbalance_moves_are_left_to_it(self):
        self.machine("0-1")
        self.card("ens5", 2)
        self.put("run/irqbalance/irqbalance77.sock", "")
        self.assertIn("ens5 irq: 0-1 0-1 -> 0 1", self.tune("--dry-run"), "the socket of one that has died")
        self.put("proc/77/comm", "irqbalance")
        self.assertIn("ens5 irq: skipped: irqbalance runs", self.tune())

    def test_what_is_gone_or_anothers_by_now_is_not_written(self):
        self.machine("0-1")
        interrupts = self.card("ens5", 2)
        self.card("ens6", 2)
        self.tune()
        text = self.get("proc/interrupts")
        self.put("proc/interrupts", text.replace("ens5-Tx-Rx-1", "nvme0q1"))
        for path in (self.root / "sys/class/net/ens6", self.fake / "driver/ens6"):
            path.rename(f"{self.fake}/gone-{path.parent.name}")
        self.tune("--off")
        self.assertEqual(self.affinities(interrupts), ["0-1", "0-1"], "the ring, by the driver")
        self.tune("--only", "irq")
        self.put("proc/interrupts", text.replace("ens5-Tx-Rx-1", "nvme0q1"))
        self.put(f"proc/irq/{interrupts[1]}/smp_affinity_list", "1")
        self.tune("--off")
        self.assertEqual(self.affinities(interrupts), ["0-1", "1"])
        self.assertEqual(self.records(), [])

    def test_settings(self):
        self.machine("0-1")
        self.card("ens5", 2)
        before = self.snapshot()
        self.put("etc/trident/tune.conf", "# our own\nring=2048\nirq=off # the image's\nbusy_poll=50")
        self.put("run/trident/tune.conf", "irq=on\nxps=off")
        said = self.tune("--set", "adaptive=off")
        self.assertIn("ens5 ring: 1024 -> 2048", said)
        self.assertIn("ens5 irq: 0-1 0-1 -> 0 1", said)
        self.assertIn("ens5 xps: left alone", said)
        self.assertIn("ens5 adaptive: left alone", said)
        self.assertIn("kernel busy_poll: 0 0 -> 50 50", said)
        self.assertIn("ens5 irq: 0 1 -> 0-1 0-1", self.tune("--only", "irq", "--set", "irq=off"), "turned before, now off")
        (self.root / "etc/trident/tune.conf").unlink()
        self.undone(before)

    def test_the_settings_file_shows_the_defaults_and_the_page_has_every_knob(self):
        ami = SCRIPTS.parents[2]
        shown = dict(line.removeprefix("#").split("=") for line in (ami / "etc/trident/tune.conf").read_text().splitlines()
                     if re.match(r"#\w+=", line))
        source = (SCRIPTS / "knobs.py").read_text()
        self.assertEqual(shown, json.loads(re.search(r"DEFAULTS = (\{.*?\})", source)[1]))
        stack = (SCRIPTS.parents[3] / "stack.yaml").read_text()
        self.assertIn(f'"(({"|".join(shown)})=[a-z0-9]+ ?)*"', stack)
        page = (SCRIPTS.parents[4] / "docs/tuning.md").read_text()
        for knob in shown:
            self.assertRegex(page, rf"(?m)^## .*`{knob}`")
            self.assertIn(f"scripts/tune-ab {knob} ", page)

    def test_wrong_settings_and_arguments_change_nothing(self):
        self.machine("0-1")
        self.card("ens5", 2)
        before = self.snapshot()
        for wrong in ("ring=many", "rings=4096", "ring", "busy_poll=-1", "rps=on"):
            with self.subTest(wrong):
                self.assertIn("see --help", self.tune("--set", wrong, code=64))
        self.assertIn("no interface eth9", self.tune("--interface", "eth9", code=64))
        self.tune("--only", "rings", code=64)
        self.tune("--off", "--status", code=64)
        self.assertEqual(self.snapshot(), before)

    def test_the_address_is_back_before_it_ends(self):
        """The driver takes the route away when its ring is resized; the network daemon brings it back later."""
        self.machine("0-1")
        self.card("ens5", 2)
        route = "ens5\t00000000\t010A0A0A\t0003"
        self.put("proc/net/route", f"Iface\tDestination\tGateway\tFlags\n{route}")
        file = self.root / "proc/net/route"
        slow = ETHTOOL.replace("-G) ", f"-G) echo Iface >{file}; (sleep 0.4; printf 'Iface\\n{route}\\n' >{file}) & ")
        (self.fake / "ethtool").write_text(slow.replace("(sleep", "(exec >/dev/null 2>&1; sleep"))
        self.tune("--only", "ring")
        self.assertIn("00000000", file.read_text())


if __name__ == "__main__":
    unittest.main()
