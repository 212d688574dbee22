"""The times of a fleet, in seconds: what the balancer needs to act, and the drain that must outlast it.

Operators report of the real balancer that new connections reach a target for 30 to 40 s after it is marked unhealthy,
and for up to 120 s after it is deregistered, whatever the deregistration delay says. `REAL` has a quarter more than
that, and the numbers of the stack; the server then drains with its defaults. `SCALED` is a twentieth of it, but for
health checks and the drain's margins, which a busy machine bounds. LAG_UNHEALTHY, LAG_DEREGISTER and GONE in the
environment replace a delay and leave the drain as it is, so that anyone can see what it does not hold.
"""
import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Delays:
    interval: float  # between health checks
    timeout: float  # of one
    lag_unhealthy: float
    lag_deregister: float
    deregistration: float  # from draining to unused
    gone: float  # an instance that is replaced has no address for so long
    notice: float  # of a spot interruption
    settings: tuple  # of the server; none = its defaults

    @property
    def noticed(self):
        """The longest until failing checks have marked a target."""
        return 2 * (self.interval + self.timeout)


SCALED = Delays(
    interval=0.5, timeout=0.4, lag_unhealthy=2.5, lag_deregister=7.5, deregistration=8, gone=4, notice=6,
    settings=("drain.accept_ms=4900", "drain.quiet_ms=500", "drain.finish_ms=2000", "drain.deadline_ms=12000"),
)
REAL = Delays(
    interval=5, timeout=3, lag_unhealthy=50, lag_deregister=150, deregistration=160, gone=60, notice=120, settings=(),
)


def chosen(real):
    delays = REAL if real else SCALED
    given = {name: float(os.environ[name.upper()]) for name in ("lag_unhealthy", "lag_deregister", "gone")
             if name.upper() in os.environ}
    return dataclasses.replace(delays, **given)
