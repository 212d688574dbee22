"""What a fleet costs and carries: the formulas of docs/sizing.md, for scripts/cost and the tests.

Prices and machines come from ami/prices.tsv and ami/charges.tsv. GB are 10^9 bytes, a month has 730 hours.
"""
import pathlib
from dataclasses import dataclass

AMI = pathlib.Path(__file__).resolve().parents[2] / "ami"
GB = 1e9
MONTH = 730
# One capacity unit of the network load balancer, TCP: the largest of the three counts.
NLCU_GB, NLCU_NEW, NLCU_OPEN = 1, 800, 100_000
# Metrics that EC2 publishes of an instance with detailed monitoring, and those that trident-publish sends of a fleet.
DETAILED_METRICS, OWN_METRICS = 7, 7
# Metrics that the alarms of ami/stack.yaml look at, and the two that target tracking makes for itself.
ALARMS = 8 + 2
# Looks of an instance at the pointer of published stores.
LOOKS_PER_HOUR = 60
# Services that an instance calls, by the names of their interface endpoints, and the one that takes logs. S3 is not among
# them: its gateway endpoint costs nothing.
ENDPOINTS = ("autoscaling", "elasticloadbalancing", "monitoring", "ssm", "ssmmessages")
LOG_ENDPOINTS = ("logs",)
# What two threads of one core do, counted in cores.
TWO_THREADS = 1.3
# Ethernet 14, IPv4 20, TCP with timestamps 32: around every packet on the wire.
HEADERS = 66
PAYLOAD = 1448
# A connection without its requests: SYN, SYN-ACK, ACK, and FIN, FIN-ACK, ACK, three each way, each of IPv4 20 and TCP 32.
CONNECTION_PACKETS, PACKET_BYTES = 6, 52
GIB = 1.073741824
# Written blocks of an image without a store: Debian, the AWS CLI, the agents, the binary.
IMAGE_GIB = 2


@dataclass(frozen=True)
class Machine:
    name: str
    vcpus: int
    threads: int
    price: float
    mbit: float | None

    @property
    def cores(self):
        """Processors' worth: two threads of a core count as 1.3."""
        return self.vcpus if self.threads == 1 else self.vcpus / 2 * TWO_THREADS


@dataclass(frozen=True)
class Charge:
    name: str
    dollars: float
    per: str
    page: str
    seen: str


@dataclass(frozen=True)
class Line:
    """A line of the bill, per hour. `follows` says whether it follows the traffic."""

    what: str
    formula: str
    dollars: float
    page: str
    follows: bool = False


def rows(name):
    lines = (AMI / name).read_text().splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def machines():
    out = {}
    for name, vcpus, threads, price, mbit, _packets in rows("prices.tsv"):
        out[name] = Machine(name, int(vcpus), int(threads), float(price), None if mbit == "-" else float(mbit))
    return out


def charges():
    return {row[0]: Charge(row[0], float(row[1]), *row[2:]) for row in rows("charges.tsv")}


def on_the_wire(size):
    """Bytes of a message with the headers of its packets."""
    packets = max(1, -(-int(size) // PAYLOAD))
    return size + packets * HEADERS


def network_rps(mbit, request_bytes, answer_bytes):
    """Requests a second that a bandwidth carries; it is granted in each direction, so the larger message counts."""
    return mbit * 1e6 / 8 / max(on_the_wire(request_bytes), on_the_wire(answer_bytes))


def processor_rps(machine, us_per_request, use):
    return machine.cores * 1e6 / us_per_request * use


def capacity(machine, us_per_request, request_bytes, answer_bytes, use):
    """(requests a second of one instance, what limits it). An unknown bandwidth limits nothing."""
    by_processor = processor_rps(machine, us_per_request, use)
    if machine.mbit is None:
        return by_processor, "processor"
    by_network = network_rps(machine.mbit, request_bytes, answer_bytes)
    return (by_network, "network") if by_network < by_processor else (by_processor, "processor")


def moved_bytes(shape):
    """Bytes of a request and its answer as they are charged: with headers, as the balancer counts. Ethernet's 14 may not
    count, so this is up to 2 % too much."""
    return on_the_wire(shape.request_bytes) + on_the_wire(shape.answer_bytes)


def traffic(shape):
    """Bytes a second through the balancer, both ways: requests, answers, and connections that begin and end."""
    return shape.rps * moved_bytes(shape) + shape.new_connections * CONNECTION_PACKETS * PACKET_BYTES


def traffic_formula(shape):
    connections = f" + {shape.new_connections:g} x {CONNECTION_PACKETS} x {PACKET_BYTES} B" if shape.new_connections else ""
    return f"({shape.rps:g} x {moved_bytes(shape):g} B{connections}) x 3600 / 10^9"


def nlcus(shape):
    """Capacity units in use: the largest dimension counts."""
    return max(
        traffic(shape) * 3600 / GB / NLCU_GB,
        shape.new_connections / NLCU_NEW,
        shape.open_connections / NLCU_OPEN,
    )


def logged(shape):
    """GB of logs that the fleet sends in an hour."""
    return shape.count * shape.log_bytes * 3600 / GB


def fixed(shape, machine, price):
    """Lines that are there whether or not anybody asks."""
    count, spot = shape.count, shape.count * shape.spot_share
    page = "https://aws.amazon.com/ec2/pricing/on-demand/"
    yield Line("instances", f"{count - spot:g} x {machine.price:g}", (count - spot) * machine.price, page)
    if spot:
        yield Line("spot instances", f"{spot:g} x {shape.spot_price:g}", spot * shape.spot_price,
                   "https://aws.amazon.com/ec2/spot/pricing/")

    def line(what, name, quantity, formula, scale=1.0):
        one = price[name]
        return Line(what, f"{formula} x {one.dollars:g}", quantity * one.dollars * scale, one.page)

    monthly = 1 / MONTH
    yield line("volumes", "volume", count * shape.volume_gib * GIB, f"{count} x {shape.volume_gib:g} GiB / {MONTH} h", monthly)
    if shape.warm_pool:
        yield line("volumes of the warm pool", "volume", shape.warm_pool * shape.volume_gib * GIB,
                   f"{shape.warm_pool} x {shape.volume_gib:g} GiB / {MONTH} h", monthly)
    if shape.images:
        yield line("snapshots of images", "snapshot", shape.images * IMAGE_GIB * GIB,
                   f"{shape.images} x {IMAGE_GIB} GiB / {MONTH} h", monthly)
    if shape.public:
        yield line("addresses of instances", "ipv4", count, f"{count}")
    yield line("balancer", "nlb", 1, "1")
    if shape.scheme == "internet-facing":
        yield line("addresses of the balancer", "ipv4", shape.zones, f"{shape.zones} zones")
    yield line("detailed monitoring", "metric", count * DETAILED_METRICS, f"{count} x {DETAILED_METRICS} metrics / {MONTH} h", monthly)
    yield line("own metrics", "metric", OWN_METRICS, f"{OWN_METRICS} metrics / {MONTH} h", monthly)
    yield line("sending metrics", "put", count * 60 / 1000, f"{count} x 60 / 1000")
    yield line("alarms", "alarm", ALARMS, f"{ALARMS} / {MONTH} h", monthly)
    yield line("dashboard", "dashboard", 1, f"1 / {MONTH} h", monthly)
    if shape.store_gib:
        yield line("published stores", "object", shape.store_gib * GIB, f"{shape.store_gib:g} GiB / {MONTH} h", monthly)
        yield line("looks at the pointer", "get", count * LOOKS_PER_HOUR / 1000, f"{count} x {LOOKS_PER_HOUR} / 1000")
    if shape.log_bytes:
        yield line("logs", "logs", logged(shape), f"{count} x {shape.log_bytes:g} B/s x 3600 / 10^9")
        yield line("kept logs", "logkept", logged(shape) * 24 * shape.log_days,
                   f"{count} x {shape.log_bytes:g} B/s x 86400 x {shape.log_days:g} days / 10^9 / {MONTH} h", monthly)


def following(shape, price):
    """Lines that follow the traffic."""
    gigabytes = traffic(shape) * 3600 / GB
    units = nlcus(shape)
    one = price["nlcu"]
    yield Line("capacity units", f"{units:.2f} NLCU x {one.dollars:g}", units * one.dollars, one.page, True)
    one = price["crosszone"]
    if shape.cross_zone and shape.zones > 1:
        share = 1 - 1 / shape.zones
        yield Line("between zones", f"{traffic_formula(shape)} x {share:.2f} x 2 x {one.dollars:g}",
                   gigabytes * share * 2 * one.dollars, one.page, True)
    one = price["internet"]
    if shape.internet_share:
        out = on_the_wire(shape.answer_bytes)
        ours = CONNECTION_PACKETS // 2
        amount = (shape.rps * out + shape.new_connections * ours * PACKET_BYTES) * shape.internet_share * 3600 / GB
        connections = f" + {shape.new_connections:g} x {ours} x {PACKET_BYTES} B" if shape.new_connections else ""
        yield Line("to the internet", f"({shape.rps:g} x {out:g} B{connections}) x {shape.internet_share:g} x 3600 / 10^9 x {one.dollars:g}",
                   amount * one.dollars, one.page, True)


def bill(shape, machine, price):
    return [*fixed(shape, machine, price), *following(shape, price)]


def without_addresses(shape, price):
    """Dollars per hour of what replaces public addresses of instances: (endpoints, NAT gateways). Logs go through either; the
    answers to clients, and S3 by its gateway endpoint, through neither."""
    services = ENDPOINTS + (LOG_ENDPOINTS if shape.log_bytes else ())
    through = logged(shape)
    endpoints = len(services) * shape.zones * price["endpoint"].dollars + through * price["endpointgb"].dollars
    nat = shape.zones * (price["nat"].dollars + price["ipv4"].dollars) + through * price["natgb"].dollars
    return endpoints, nat
