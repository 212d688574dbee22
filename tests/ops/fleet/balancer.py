"""A layer-4 balancer that behaves like an AWS network load balancer, with its delays (delays.py).

A flow's hash chooses among the healthy targets when its first packet comes; connection tracking keeps it there.
Health checks are `GET /readyz`; a target is unhealthy after two failures in a row, healthy after two successes.
The real one is slow to act on what it knows, and so is this one: new flows reach a target for `lag_unhealthy` seconds
after it was marked unhealthy and for `lag_deregister` after it was deregistered, whatever it is called meanwhile. A
deregistered target is `draining` for the deregistration delay, then `unused`; old flows stay. With no healthy target
every target is used.
"""
import http.client
import threading
import time

from network import BALANCER, address

PORT = 80
TARGET_PORT = 8080
THRESHOLD = 2
TICK = 0.05
# A flow that got no answer is soon forgotten. Linux remembers its target for two minutes, and then the next flow from that port goes
# there, whether the target is used or not.
FORGET = " ".join(f"net.netfilter.nf_conntrack_tcp_timeout_{state}=3" for state in ("syn_sent", "fin_wait", "close_wait", "last_ack"))

RULES = """table ip balancer {{}}
delete table ip balancer
table ip balancer {{
 chain choose {{
  type nat hook prerouting priority dstnat; policy accept;
  {choose}
 }}
 chain pass {{
  type filter hook forward priority 0; policy accept;
{reset} }}
}}
"""


class Balancer:
    """`state` maps an instance to initial, healthy, unhealthy, draining or unused; `lagging` to when new flows no longer
    reach one that has left, `unused_at` to when a deregistered one is called unused."""

    def __init__(self, network, delays, terminate_unhealthy=False):
        self.network, self.delays, self.terminate_unhealthy = network, delays, terminate_unhealthy
        self.state, self.streak, self.lagging, self.unused_at = {}, {}, {}, {}
        self.lock, self.stopped = threading.Lock(), threading.Event()
        self.program()
        self.network.inside("b", f"sysctl -qw {FORGET}")
        self.threads = [threading.Thread(target=one, daemon=True) for one in (self.watch, self.expire)]
        for thread in self.threads:
            thread.start()

    def register(self, instance):
        self.set(instance, "initial")

    def deregister(self, instance):
        """No new flows after the lag; the health checks stop."""
        self.set(instance, "draining")

    def set(self, instance, state):
        with self.lock:
            old, now = self.state.get(instance), time.monotonic()
            if old == state:
                return
            self.state[instance], self.streak[instance] = state, 0
            if state in ("healthy", "initial"):
                self.lagging.pop(instance, None)
                self.unused_at.pop(instance, None)
            elif state == "unhealthy" and old == "healthy":
                self.lagging[instance] = now + self.delays.lag_unhealthy
            elif state == "draining":
                if old == "healthy" or instance in self.lagging:
                    self.lagging[instance] = now + self.delays.lag_deregister
                self.unused_at[instance] = now + self.delays.deregistration
            self.program()

    def expire(self):
        """Ends what is over: a lag, a deregistration."""
        while not self.stopped.wait(TICK):
            now = time.monotonic()
            with self.lock:
                over = [i for i, at in self.lagging.items() if at <= now]
                for instance in over:
                    del self.lagging[instance]
                for instance in [i for i, at in self.unused_at.items() if at <= now]:
                    del self.unused_at[instance]
                    self.state[instance] = "unused"
                if over:
                    self.program()

    def program(self):
        healthy = [i for i, state in self.state.items() if state == "healthy" or i in self.lagging]
        # Fails open, as the real one does.
        used = healthy or [i for i, state in self.state.items() if state == "unhealthy"]
        choose = "accept"
        if used:
            targets = ", ".join(f"{n} : {address(i)} . {TARGET_PORT}" for n, i in enumerate(used))
            choose = (f"ip daddr {BALANCER} tcp dport {PORT} dnat ip to jhash ip saddr . tcp sport "
                      f"mod {len(used)} seed 0x5eed map {{ {targets} }}")
        reset = ""
        if self.terminate_unhealthy and healthy:
            reset = "".join(f"  ip daddr {address(i)} tcp dport {TARGET_PORT} reject with tcp reset\n"
                            for i, state in self.state.items() if state == "unhealthy")
        self.network.inside("b", "nft -f -", input=RULES.format(choose=choose, reset=reset))

    def watch(self):
        self.network.enter("b")
        while not self.stopped.wait(self.delays.interval):
            checks = [threading.Thread(target=self.check, args=(i,)) for i in list(self.state)]
            for check in checks:
                check.start()
            for check in checks:
                check.join()

    def check(self, instance):
        state = self.state[instance]
        if state in ("draining", "unused"):
            return
        good = ready(instance, self.delays.timeout)
        if good == (state == "healthy"):
            self.streak[instance] = 0
            return
        self.streak[instance] += 1
        if self.streak[instance] >= THRESHOLD and self.state[instance] == state:
            self.set(instance, "healthy" if good else "unhealthy")

    def wait(self, instance, state, patience=400):
        """Seconds until an instance is in a state."""
        start = time.monotonic()
        while self.state.get(instance) != state:
            if time.monotonic() - start > patience:
                raise SystemExit(f"test-fleet: instance {instance} did not become {state}: {self.state}")
            time.sleep(0.02)
        return time.monotonic() - start

    def close(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def ready(instance, timeout):
    """One health check; a thread inherits the namespace of the one that started it."""
    connection = http.client.HTTPConnection(address(instance), TARGET_PORT, timeout=timeout)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    except http.client.HTTPException:
        return False
    finally:
        connection.close()
