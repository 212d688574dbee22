"""The checker finds what a bad store would do: histories made up, one fault each."""
import unittest

from history import Batch, History, Read

TWEET, OTHER = (1, 10, 101), (2, 11, 102)


def batch(**more):
    return Batch(**({"instance": 1, "tweets": (TWEET, OTHER), "sent": 1, "acknowledged": 2} | more))


def read(start, *contacts, user=10, instance=1):
    return Read(instance, user, start, start + 0.5, frozenset(contacts))


class Checker(unittest.TestCase):
    def faults(self, batches, reads, restarts=()):
        history = History()
        history.batches, history.reads, history.restarts = batches, reads, list(restarts)
        return " ".join(history.check())

    def test_what_is_right(self):
        self.assertEqual(self.faults([batch()], [read(0), read(3, 101), read(4, 102, user=11)]), "")
        # Another instance may be late; while a batch is on its way it may be seen or not.
        self.assertEqual(self.faults([batch()], [read(3, instance=2), read(4, 101, instance=2), read(1.2)]), "")
        deletion = batch(tweets=(), deletes=(TWEET,), sent=5, acknowledged=6)
        self.assertEqual(self.faults([batch(), deletion], [read(4, 101), read(5.2, 101), read(5.3), read(7)]), "")

    def test_an_acknowledged_batch_is_not_seen(self):
        self.assertIn("went back", self.faults([batch()], [read(3)]))

    def test_half_a_batch_is_seen(self):
        self.assertIn("went back", self.faults([batch(instance=2)], [read(3, 101), read(4, user=11)]))

    def test_a_batch_that_was_seen_is_gone(self):
        reads = [read(1.1, 101), read(1.7)]
        self.assertIn("went back", self.faults([batch(instance=2)], reads))
        # A new process starts with what the database says.
        self.assertEqual(self.faults([batch(instance=2)], reads, [(1, 1.65)]), "")

    def test_a_deleted_tweet_is_back(self):
        deletion = batch(tweets=(), deletes=(TWEET,), sent=5, acknowledged=6)
        self.assertIn("is back", self.faults([batch(), deletion], [read(7, 101)]))
        deletion.instance = 2
        self.assertIn("is back", self.faults([batch(), deletion], [read(5.2), read(6, 101)]))

    def test_a_tweet_nobody_sent(self):
        self.assertIn("nobody sent", self.faults([batch()], [read(3, 101, 999)]))
        self.assertIn("nobody sent", self.faults([batch()], [read(0, 101)]))

    def test_the_last_state(self):
        for given, state, fault in [
            (batch(), {10: {101}, 11: {102}}, ""),
            (batch(), {10: set(), 11: set()}, "lost"),
            (batch(), {10: {101}, 11: set()}, "half"),
            (batch(acknowledged=float("inf"), may_be_in=True), {10: set(), 11: set()}, ""),
            (batch(acknowledged=float("inf"), may_be_in=True), {10: {101}, 11: {102}}, ""),
            (batch(acknowledged=float("inf"), may_be_in=True), {10: {101}, 11: set()}, "half"),
            (batch(acknowledged=float("inf")), {10: {101}, 11: {102}}, "refused"),
            (batch(tweets=(), deletes=(TWEET,)), {10: {101}}, "back"),
        ]:
            history = History()
            history.batches = [given]
            faults, present = history.final(state)
            self.assertIn(fault, " ".join(faults))
            self.assertEqual(bool(faults), bool(fault))
            self.assertEqual(len(present), int(given.is_acknowledged or any(state.values())))


if __name__ == "__main__":
    unittest.main()
