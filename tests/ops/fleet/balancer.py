"""A layer-4 balancer that behaves like an AWS network load balancer, at ten times its speed.

A flow's hash chooses among the healthy targets when its first packet comes; connection tracking keeps it there.
Health checks are `GET /readyz`; a target is unhealthy after two failures in a row, healthy after two successes.
Deregistering stops new flows and leaves old ones. With no healthy target every target is used.
"""
import http.client
import threading
import time

from network import BALANCER, address

PORT = 80
TARGET_PORT = 8080
INTERVAL = 0.5
TIMEOUT = 0.4
THRESHOLD = 2

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
    """`state` maps a registered instance to initial, healthy, unhealthy or draining."""

    def __init__(self, network, terminate_unhealthy=False):
        self.network, self.terminate_unhealthy = network, terminate_unhealthy
        self.state, self.streak, self.log = {}, {}, []
        self.lock, self.stopped = threading.Lock(), threading.Event()
        self.program()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def register(self, instance):
        self.set(instance, "initial")

    def deregister(self, instance):
        """No new flows from now on; the health checks stop."""
        self.set(instance, "draining")

    def set(self, instance, state):
        with self.lock:
            if self.state.get(instance) != state:
                self.state[instance], self.streak[instance] = state, 0
                self.log.append((time.monotonic(), instance, state))
                self.program()

    def program(self):
        healthy = [i for i, state in self.state.items() if state == "healthy"]
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
        while not self.stopped.wait(INTERVAL):
            checks = [threading.Thread(target=self.check, args=(i,)) for i in list(self.state)]
            for check in checks:
                check.start()
            for check in checks:
                check.join()

    def check(self, instance):
        state = self.state[instance]
        if state == "draining":
            return
        good = ready(instance)
        if good == (state == "healthy"):
            self.streak[instance] = 0
            return
        self.streak[instance] += 1
        if self.streak[instance] >= THRESHOLD and self.state[instance] == state:
            self.set(instance, "healthy" if good else "unhealthy")

    def wait(self, instance, state, patience=60):
        """Seconds until an instance is in a state."""
        start = time.monotonic()
        while self.state.get(instance) != state:
            if time.monotonic() - start > patience:
                raise SystemExit(f"test-fleet: instance {instance} did not become {state}: {self.state}")
            time.sleep(0.02)
        return time.monotonic() - start

    def close(self):
        self.stopped.set()
        self.thread.join()


def ready(instance):
    """One health check; a thread inherits the namespace of the one that started it."""
    connection = http.client.HTTPConnection(address(instance), TARGET_PORT, timeout=TIMEOUT)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    except http.client.HTTPException:
        return False
    finally:
        connection.close()
