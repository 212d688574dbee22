"""What is done to the cluster. A case returns the time of the fault, or None where nothing may fail for it."""
import time

LASTS_S = 6


def rest(test):
    """nothing"""
    time.sleep(LASTS_S)


def kill_node(test):
    """kill -9 a node that nobody writes to; back after 6 s"""
    return kill(test, 3)


def kill_writer(test):
    """kill -9 the node that two of three instances write to; back after 6 s"""
    return kill(test, 1)


def kill(test, number):
    at = time.monotonic()
    test.cluster.nodes[number].kill()
    time.sleep(LASTS_S)
    test.cluster.mend()
    return at


def part_writer(test):
    """cut the writers' node off its peers for 8 s; clients still reach it"""
    at = time.monotonic()
    one, *others = test.cluster.nodes.values()
    one.part_from(others)
    time.sleep(LASTS_S + 2)
    one.part_from([])
    test.cluster.mend()
    return at


def unplug_majority(test):
    """unplug two of three nodes for 8 s: nobody has a majority"""
    at = time.monotonic()
    for number in (1, 2):
        test.cluster.nodes[number].cut(True)
    time.sleep(LASTS_S + 2)
    for number in (1, 2):
        test.cluster.nodes[number].cut(False)
    test.cluster.mend()
    return at


def slow_link(test):
    """a node's link at 300 kbit/s for 6 s"""
    at = time.monotonic()
    test.cluster.nodes[1].slow_down(True)
    time.sleep(LASTS_S)
    test.cluster.nodes[1].slow_down(False)
    test.cluster.mend()
    return at


def clock_jump(test):
    """a node's clock an hour ahead for 3 s, then an hour behind for 3 s"""
    at = time.monotonic()
    for seconds in (3600, -3600, 0):
        test.cluster.nodes[3].set_clock(seconds)
        time.sleep(LASTS_S / 2)
    test.cluster.mend()
    return at


def full_disk(test):
    """fill the disk of the writers' node for 6 s; what it did not survive is started again"""
    at = time.monotonic()
    node = test.cluster.nodes[1]
    node.fill_disk()
    time.sleep(LASTS_S)
    node.free_disk()
    # A node that could not write what the others wrote leaves them, and stays out until somebody starts it again.
    time.sleep(1)
    if node.is_running() and not node.is_synced(3):
        node.kill()
    test.cluster.mend()
    return at


def kill_instance(test):
    """kill -9 an instance in mid-batch, four times"""
    at = time.monotonic()
    for _ in range(4):
        # A batch takes milliseconds: with a node stopped it waits, and is killed while it does.
        with test.writes_held():
            time.sleep(0.3)
            test.kill_instance(2)
        test.start_instance(2)
        time.sleep(1)
    return at


def migrate(test):
    """rebuild every table with ALTER TABLE, under load"""
    at = time.monotonic()
    for table in ("users", "tweets", "people", "batch", "changes"):
        test.cluster.nodes[2].sql(f"ALTER TABLE trident.trident_{table} FORCE")
        time.sleep(0.5)
    test.cluster.nodes[3].sql("ALTER TABLE trident.trident_users ADD COLUMN note INT NULL")
    time.sleep(1)
    test.cluster.nodes[3].sql("ALTER TABLE trident.trident_users DROP COLUMN note")
    return at


def upgrade(test):
    """tables of the version before become the present ones, by `trident etl import`, while they are served"""
    at = time.monotonic()
    test.import_store()
    return at


ALL = [upgrade, rest, kill_node, kill_writer, part_writer, unplug_majority, slow_link, clock_jump, full_disk, kill_instance,
       migrate]
