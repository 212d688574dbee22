"""Writers and readers, one of each per instance, in the client's host. They record what they did and saw."""
import http.client
import json
import random
import threading
import time

from history import Batch, Read
from network import address

PORT = 8080
TOKEN = "token-of-the-cluster-test"
# Longer than the server tries a batch (twitter.mysql_write_ms).
TIMEOUT_S = 15
USERS = 8
TWEETS_MAX = 3
# Between batches and reads of one client: the machine also runs the cluster.
WRITE_PAUSE_S = 0.12
READ_PAUSE_S = 0.02
HEADER = "TeamCoolCloud,123400000001"
CREATED = "Fri Apr 04 05:30:11 +0000 2014"
# A refusal with one of these may have changed something.
UNSETTLED = ("may have been taken", "was given up")


def query(user):
    return f"/twitter?user_id={user}&type=both&phrase=nothing&hashtag=nothing"


class Connection:
    """One request at a time; a new connection after a failure."""

    def __init__(self, instance, timeout=TIMEOUT_S):
        self.instance, self.timeout, self.http = instance, timeout, None

    def ask(self, method, target, body=None):
        """Status and text; or None and the reason why no answer came."""
        headers = {"Authorization": f"Bearer {TOKEN}"} if method != "GET" else {}
        try:
            if self.http is None:
                self.http = http.client.HTTPConnection(address(self.instance), PORT, timeout=self.timeout)
            self.http.request(method, target, body, headers)
            answer = self.http.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return None, type(error).__name__

    def close(self):
        if self.http is not None:
            self.http.close()
        self.http = None


def contacts(text):
    """The contacts in an answer; None if it has none."""
    head, _, rows = text.partition("\n")
    if head != HEADER:
        return None
    return frozenset() if rows == "INVALID" else frozenset(int(row.split("\t")[0]) for row in rows.split("\n"))


class Play:
    """The clients of one case. Users and tweets are the case's own, so that its answers stay short."""

    def __init__(self, case, network, history, instances):
        self.network, self.history = network, history
        base = 10_000_000 * (case + 1)
        self.users = [base + n for n in range(USERS)]
        self.ids = iter(range(base + 1000, base + 10_000_000))
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.giving_up = threading.Event()
        self.errors = []  # (time, who, what)
        self.reads_right = 0
        self.unreadable = []
        self.threads = [threading.Thread(target=run, args=(instance,), daemon=True)
                        for instance in instances for run in (self.write, self.read)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def end(self):
        """Waits until every writer has had its last batch acknowledged."""
        self.ending.set()
        until = time.monotonic() + 60
        for thread in self.threads:
            thread.join(max(0.1, until - time.monotonic()))
        stuck = sum(thread.is_alive() for thread in self.threads)
        self.giving_up.set()
        for thread in self.threads:
            thread.join(2 * TIMEOUT_S)
        return stuck

    def failed(self, who, what):
        self.errors.append((time.monotonic(), who, what))

    # ---------------------------------------------------------------- readers

    def read(self, instance):
        self.network.enter("c")
        rng, connection = random.Random(instance), Connection(instance, 5)
        while not self.ending.is_set():
            user, start = rng.choice(self.users), time.monotonic()
            status, text = connection.ask("GET", query(user))
            if status == 200:
                seen = contacts(text)
                if seen is None:
                    self.unreadable.append(text[:80])
                else:
                    self.reads_right += 1
                    self.history.reads.append(Read(instance, user, start, time.monotonic(), seen))
            else:
                self.failed("read", status or text)
                time.sleep(0.1)
            time.sleep(READ_PAUSE_S)
        connection.close()

    # ---------------------------------------------------------------- writers

    def write(self, instance):
        self.network.enter("c")
        rng, connection = random.Random(instance), Connection(instance)
        live, dead = [], []  # tweets of acknowledged batches: (tweet, line)
        while not self.ending.is_set():
            batch, request = self.next(rng, instance, live, dead)
            self.send(rng, connection, batch, request)
            if batch.is_acknowledged:
                live += [(tweet, line) for tweet, line in zip(batch.tweets, batch.lines)]
            time.sleep(WRITE_PAUSE_S)
        # One that has to get through: this instance writes again.
        while not self.giving_up.is_set() and not batch.is_acknowledged:
            batch, request = self.next(rng, instance, [], [])
            self.send(rng, connection, batch, request)
        connection.close()

    def next(self, rng, instance, live, dead):
        """A batch of tweets, with a deletion or a deleted tweet among them at times; or a single deletion."""
        chance = rng.random()
        if live and chance < 0.15:
            tweet, line = live.pop(rng.randrange(len(live)))
            dead.append(line)
            batch = Batch(instance, deletes=(tweet,), lines=(deletion(tweet[0]),))
            return self.record(batch), ("DELETE", f"/twitter/tweets?id={tweet[0]}", None)
        users = rng.sample(self.users, rng.randint(1, TWEETS_MAX))
        with self.lock:
            tweets = tuple((next(self.ids), user, next(self.ids)) for user in users)
        lines = [tweet_line(*tweet) for tweet in tweets]
        deletes = ()
        if live and chance < 0.25:
            tweet, line = live.pop(rng.randrange(len(live)))
            dead.append(line)
            deletes, lines = (tweet,), [*lines, deletion(tweet[0])]
        elif dead and chance < 0.4:
            lines.append(rng.choice(dead))
        batch = Batch(instance, tweets, deletes, tuple(lines))
        return self.record(batch), ("POST", "/twitter/tweets", "\n".join(lines).encode())

    def record(self, batch):
        self.history.batches.append(batch)
        return batch

    def send(self, rng, connection, batch, request):
        """Until it is acknowledged; a batch of tweets alone is given up at times, as a client may."""
        batch.sent = time.monotonic()
        while not self.giving_up.is_set():
            status, text = connection.ask(*request)
            now = time.monotonic()
            if status == 200:
                batch.acknowledged = now
                json.loads(text)
                return
            batch.may_be_in |= status is None or any(words in text for words in UNSETTLED)
            batch.attempts.append((now, status or text))
            self.failed("write", status or text)
            if not batch.deletes and rng.random() < 0.3:
                return
            time.sleep(0.2)


def tweet_line(tweet, user, contact):
    return json.dumps({"id": tweet, "text": f"t{tweet}", "user": {"id": user}, "lang": "en", "in_reply_to_user_id": contact,
                       "created_at": CREATED, "entities": {"hashtags": [{"text": f"u{user}"}]}})


def deletion(tweet):
    return json.dumps({"delete": {"status": {"id": tweet}}})
