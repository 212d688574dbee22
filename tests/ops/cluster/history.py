"""What clients did and saw, and whether a store may answer so. No I/O: the checker's own tests make histories up.

A batch has tweets, each from a user to a contact that no other tweet has: a user's answer lists the contacts, and so
says which tweets are visible. Times are of one monotonic clock.

- A batch that an instance has acknowledged, or shown in an answer, is in every later answer of this instance, with all
  of its tweets.
- A tweet that is deleted, likewise, is in no later answer, also when it is posted again.
- An answer never has a tweet that was not sent.
- A refusal changes nothing: a batch that was only ever refused is never seen.
"""
from collections import defaultdict
from dataclasses import dataclass, field

NEVER = float("inf")


@dataclass
class Batch:
    instance: int
    tweets: tuple = ()     # (tweet, user, contact)
    deletes: tuple = ()    # (tweet, user, contact)
    lines: tuple = ()      # as sent, for the oracle; deletions of `DELETE` as the line that means the same
    sent: float = NEVER
    acknowledged: float = NEVER
    may_be_in: bool = False  # an attempt ended without an answer, or with one that says so
    attempts: list = field(default_factory=list)  # (time, what it was answered)

    @property
    def is_acknowledged(self):
        return self.acknowledged < NEVER


@dataclass
class Read:
    instance: int
    user: int
    start: float
    end: float
    contacts: frozenset


class History:
    def __init__(self):
        self.batches, self.reads, self.restarts = [], [], []  # restarts: (instance, time)

    def check(self):
        """What the store did that it may not."""
        faults = []
        for instance in sorted({read.instance for read in self.reads}):
            faults += self._check_instance(instance)
        return faults

    def _check_instance(self, instance):
        posted, deleted = defaultdict(list), {}
        for batch in self.batches:
            for tweet, user, contact in batch.tweets:
                posted[user].append((tweet, contact, batch))
            for tweet, _, _ in batch.deletes:
                deleted[tweet] = batch
        known = {id(batch): batch.acknowledged for batch in self.batches if batch.instance == instance}
        restarts = sorted(time for where, time in self.restarts if where == instance)
        faults = []
        for read in sorted((r for r in self.reads if r.instance == instance), key=lambda r: r.start):
            # What a process had seen ends with it; the next one starts with what the database says.
            began = max((time for time in restarts if time <= read.start), default=0)
            faults += _check_read(read, posted[read.user], deleted, known, began)
        return faults

    def final(self, contacts_of):
        """Compares the last state, contacts by user; returns faults and the batches that are in it."""
        faults, present = [], []
        deleted = {tweet for batch in self.batches for tweet, _, _ in batch.deletes if batch.is_acknowledged}
        for batch in self.batches:
            live = [contact in contacts_of[user] for tweet, user, contact in batch.tweets if tweet not in deleted]
            gone = [contact not in contacts_of[user] for _, user, contact in batch.deletes]
            if batch.is_acknowledged and not all(live):
                faults.append(f"lost: an acknowledged batch of instance {batch.instance}, sent at {batch.sent:.3f}")
            if batch.is_acknowledged and not all(gone):
                faults.append(f"back: a tweet whose deletion instance {batch.instance} has acknowledged")
            if any(live) and not all(live):
                faults.append(f"half: a batch of instance {batch.instance}, sent at {batch.sent:.3f}")
            if not batch.is_acknowledged and not batch.may_be_in and any(live):
                faults.append(f"in, though every attempt was refused: a batch of instance {batch.instance}")
            if batch.is_acknowledged or any(live):
                present.append(batch)
        return faults, present


def _check_read(read, posted, deleted, known, began):
    faults, sent = [], set()
    for tweet, contact, batch in posted:
        if batch.sent < read.end:
            sent.add(contact)
        deletion = deleted.get(tweet)
        was_known = began <= known.get(id(batch), NEVER) <= read.start
        was_deleted = deletion is not None and began <= known.get(id(deletion), NEVER) <= read.start
        may_be_deleted = deletion is not None and deletion.sent < read.end
        where = f"instance {read.instance}, user {read.user}, at {read.start:.3f}"
        if contact in read.contacts:
            if was_deleted:
                faults.append(f"a deleted tweet is back: {where}")
            _learn(known, batch, read.end, began)
        elif was_known and not may_be_deleted:
            faults.append(f"went back behind a batch: {where}, sent at {batch.sent:.3f}")
        elif was_known and not was_deleted:
            _learn(known, deletion, read.end, began)
    if not read.contacts <= sent:
        faults.append(f"tweets that nobody sent: {where_of(read)}: {sorted(read.contacts - sent)[:3]}")
    return faults


def _learn(known, batch, time, began):
    """From `time` on this process knows the batch; what an earlier process knew does not count."""
    before = known.get(id(batch), NEVER)
    if before < began or before > time:
        known[id(batch)] = time


def where_of(read):
    return f"instance {read.instance}, user {read.user}, at {read.start:.3f}"
