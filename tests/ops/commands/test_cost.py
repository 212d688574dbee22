"""The bill of known shapes to the cent, counted by hand, and what limits a machine."""
import pathlib
import subprocess
import sys
import unittest
from types import SimpleNamespace

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))

from lib import costlib  # noqa: E402  (the path above comes first)

BILLION_AN_HOUR = 1e9 / 3600


def shape(**given):
    usual = {
        "count": 2, "rps": 0, "request_bytes": 531, "answer_bytes": 662, "new_connections": 0, "open_connections": 0,
        "zones": 2, "cross_zone": True, "public": True, "scheme": "internet-facing", "internet_share": 0,
        "volume_gib": 8, "log_bytes": 0, "log_days": 0, "store_gib": 0, "spot_share": 0,
        "spot_price": 0, "warm_pool": 0, "images": 0,
    }
    return SimpleNamespace(**(usual | given))


def bill(kind="c8g.large", hours=1, **given):
    """{what: dollars} over a number of hours, rounded to the cent."""
    lines = costlib.bill(shape(**given), costlib.machines()[kind], costlib.charges())
    return {line.what: round(line.dollars * hours, 2) for line in lines}


class Bill(unittest.TestCase):
    maxDiff = None

    def test_a_month_of_eight_without_traffic(self):
        self.assertEqual(bill(count=8, hours=730), {
            "instances": 465.80,                 # 8 x 0.07976 x 730
            "volumes": 5.50,                     # 8 x 8.59 GB x 0.08
            "addresses of instances": 29.20,     # 8 x 0.005 x 730
            "balancer": 16.43,                   # 0.0225 x 730, 16.425
            "addresses of the balancer": 7.30,   # 2 x 0.005 x 730
            "detailed monitoring": 16.80,        # 8 x 7 x 0.30
            "own metrics": 2.10,                 # 7 x 0.30
            "sending metrics": 3.50,             # 8 x 60 x 730 calls, 0.01 the thousand
            "alarms": 1.00,                      # 10 x 0.10
            "dashboard": 3.00,
            "capacity units": 0.00,
            "between zones": 0.00,
        })

    def test_a_billion_requests(self):
        told = bill(rps=BILLION_AN_HOUR)
        self.assertEqual((told["capacity units"], told["between zones"]), (7.95, 13.25))
        self.assertNotIn("between zones", bill(rps=BILLION_AN_HOUR, cross_zone=False))
        self.assertNotIn("between zones", bill(rps=BILLION_AN_HOUR, zones=1))
        three = bill(rps=BILLION_AN_HOUR, zones=3)
        self.assertEqual(three["between zones"], 17.67)  # two thirds of 1,325 GB, 0.02 each
        self.assertEqual(bill(rps=BILLION_AN_HOUR, internet_share=0.5)["to the internet"], 32.76)  # 364 GB x 0.09

    def test_the_largest_dimension_makes_the_capacity_units(self):
        self.assertEqual(bill(new_connections=80_000)["capacity units"], 0.60)
        self.assertEqual(bill(open_connections=5_000_000)["capacity units"], 0.30)
        self.assertEqual(bill(new_connections=80_000, rps=BILLION_AN_HOUR)["capacity units"], 8.49)

    def test_connections_move_bytes_of_their_own(self):
        told = bill(rps=BILLION_AN_HOUR, new_connections=80_000, internet_share=0.5)
        # 1,325 GB of requests and 80,000 x 6 x 52 B x 3600 s = 89.9 GB; half of the latter is sent by the server.
        self.assertEqual((told["capacity units"], told["between zones"]), (8.49, 14.15))
        self.assertEqual(told["to the internet"], 34.78)  # half of 728 + 44.9 GB, x 0.09

    def test_what_is_kept(self):
        told = bill(warm_pool=2, images=3, log_bytes=1000, log_days=30, count=10, hours=730)
        self.assertEqual(told["volumes of the warm pool"], 1.37)  # 2 x 8.59 GB x 0.08
        self.assertEqual(told["snapshots of images"], 0.32)       # 3 x 2.15 GB x 0.05
        self.assertEqual(told["kept logs"], 0.78)                 # 25.92 GB x 0.03

    def test_what_is_left_out_costs_nothing(self):
        self.assertNotIn("addresses of instances", bill(public=False))
        self.assertNotIn("addresses of the balancer", bill(scheme="internal"))
        self.assertEqual(bill(log_bytes=1000, count=10, hours=1000)["logs"], 18.00)  # 36 GB x 0.50
        told = bill(store_gib=100, count=100, hours=730)
        self.assertEqual((told["published stores"], told["looks at the pointer"]), (2.47, 1.75))  # 107.4 GB; 4.38 million
        spot = bill(count=4, spot_share=0.5, spot_price=0.03, hours=100)
        self.assertEqual((spot["instances"], spot["spot instances"]), (15.95, 6.00))

    def test_what_replaces_addresses(self):
        endpoints, nat = costlib.without_addresses(shape(), costlib.charges())
        self.assertEqual((round(endpoints, 2), round(nat, 2)), (0.10, 0.10))  # 5 x 2 x 0.01; 2 x 0.05
        endpoints, nat = costlib.without_addresses(shape(count=100, log_bytes=100_000), costlib.charges())
        self.assertEqual((round(endpoints, 2), round(nat, 2)), (0.48, 1.72))  # 36 GB more, and the endpoint of logs

    def test_every_charge_has_a_page_and_where_it_was_read(self):
        for charge in costlib.charges().values():
            self.assertRegex(charge.page, r"^https://aws\.amazon\.com/.*pricing/")
            self.assertTrue(charge.seen)
        lines = costlib.bill(shape(rps=1, spot_share=0.5, log_bytes=1, store_gib=1, internet_share=1), costlib.machines()["c8g.large"],
                             costlib.charges())
        self.assertTrue(all(line.page.startswith("https://") and line.formula for line in lines))


class Capacity(unittest.TestCase):
    def test_machines(self):
        machines = costlib.machines()
        families = {name.partition(".")[0] for name in machines}
        self.assertLessEqual({"c8g", "c9g", "m9g", "c8a", "c8gn", "c8i", "c7i", "m8a", "t4g"}, families)
        self.assertGreaterEqual(len(families), 12)
        self.assertEqual(machines["c8g.large"].mbit, 937)
        self.assertEqual(machines["c7i.large"].cores, 1.3)

    def test_the_smaller_of_processor_and_network_limits(self):
        large = costlib.machines()["c8g.large"]
        rps, limit = costlib.capacity(large, 9.6, 531, 662, 0.6)
        self.assertEqual((round(rps), limit), (125_000, "processor"))
        rps, limit = costlib.capacity(large, 9.6, 531, 4_000, 0.6)
        self.assertEqual((round(rps), limit), (27_900, "network"))  # 4,000 B and three packets' headers
        self.assertEqual(costlib.capacity(costlib.Machine("x", 2, 1, 1, None), 9.6, 531, 4_000, 0.6)[1], "processor")

    def test_a_c8g_large_carries_172_000_answers(self):
        self.assertEqual(round(costlib.network_rps(937, 531, 615), -3), 172_000)

    def test_processor_time_of_a_billion(self):
        """At 60 % use, compressed answers: $0.20."""
        large = costlib.machines()["c8g.large"]
        rps = costlib.processor_rps(large, 11.1, 0.6)
        self.assertEqual(round(large.price / (rps * 3600) * 1e9, 2), 0.20)


class Script(unittest.TestCase):
    def cost(self, *arguments, code=0):
        run = subprocess.run([sys.executable, str(ROOT / "scripts/cost"), *arguments], capture_output=True, text=True)
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        return run.stdout + run.stderr

    def test_lines_add_up(self):
        said = self.cost("--count", "4", "--rps", "200000", "--dry-run").splitlines()
        figures = [float(line.split()[0]) for line in said if line.startswith(" ") or line[:2].isdigit()]
        self.assertAlmostEqual(sum(figures[:-1]), figures[-1], delta=0.001)
        self.assertIn("all of it", said[-2])

    def test_what_private_instances_need_is_told(self):
        self.assertIn("not in it", self.cost("--private").splitlines()[-1])

    def test_budget_and_target(self):
        self.assertIn("7 x c8g.large", self.cost("--budget", "0.72", "--us-per-request", "9.6"))
        self.assertIn("3 x c8g.large", self.cost("--target-rps", "200000", "--us-per-request", "9.6"))
        self.cost("--budget", "0.01", "--us-per-request", "9.6", code=1)

    def test_wrong_use(self):
        for wrong in (["--colour"], ["--instance-type", "c1.tiny"], ["--budget", "1"], ["--spot-share", "1"]):
            self.cost(*wrong, code=64)


if __name__ == "__main__":
    unittest.main()
