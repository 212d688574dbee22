#!/usr/bin/env python3
"""Reference oracle for GET /twitter (Python standard library only).

Deliberately plain: every rule of docs/protocol/twitter.md is one small function, nothing is
cached or precomputed except what the specification itself calls a table.

    tables = etl(lines, excluded)                       # lines: iterable of bytes
    body   = query(tables, user_id, type, phrase, tag)  # decoded parameters
    body   = handle(tables, b"user_id=..&type=..")      # raw query string

Command line:
    oracle.py query  --data F.jsonl[.gz] --excluded P.txt  'user_id=1&type=both&phrase=a&hashtag=b'
    oracle.py answer --data ... --excluded ... --queries Q.txt --out A.tsv
    oracle.py dump   --data ... --excluded ... --out users.jsonl    # like `trident store dump`
    oracle.py tables --data ... --excluded ... --out tables.jsonl
    oracle.py stats  --data ... --excluded ...
"""

import argparse
import datetime
import gzip
import json
import math
import sys
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal

TEAM_ID = "TeamCoolCloud"
TEAM_AWS_ACCOUNT_ID = "123400000001"

LANGUAGES = frozenset(("ar", "en", "fr", "in", "pt", "es", "tr", "ja"))
TYPES = ("reply", "retweet", "both")
MAX_ID = 2 ** 63 - 1
MONTHS = {m: i + 1 for i, m in enumerate(
    "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())}

# What to answer when the request is well formed but there is nothing to list
# (unknown user, or no contact tweet of that type).  See docs/protocol/twitter.md section 7.
#   "invalid"   -> HEADER "\n" "INVALID"
#   "header"    -> HEADER               (no newline)
#   "header_nl" -> HEADER "\n"
EMPTY_POLICY = "invalid"

# How strings that are not Unicode are treated.  See docs/protocol/twitter.md section 2.
#   "replace"  -> U+FFFD
#   "spark"    -> a line that is not UTF-8 is dropped, half of a surrogate pair becomes "?"
COMPAT = "replace"


# --------------------------------------------------------------------------
# small helpers
# --------------------------------------------------------------------------

def lower(s):
    """Full, locale independent Unicode lower-casing."""
    return s.lower()


def clean(s):
    """Unpaired UTF-16 surrogates cannot be encoded; each becomes U+FFFD, or `?` as in Spark."""
    if any(0xD800 <= ord(c) <= 0xDFFF for c in s):
        lone = "?" if COMPAT == "spark" else "\ufffd"
        return "".join(lone if 0xD800 <= ord(c) <= 0xDFFF else c for c in s)
    return s


def as_id(v):
    """An identifier is a JSON integer, or a string of 1..19 ASCII digits."""
    if isinstance(v, bool):
        return None
    if isinstance(v, str):
        if not (1 <= len(v) <= 19 and all("0" <= c <= "9" for c in v)):
            return None
        v = int(v)
    if isinstance(v, int) and 0 <= v <= MAX_ID:
        return v
    return None


def get_id(obj, name):
    """obj[name + '_str'] if usable, else obj[name] if usable, else None: numbers may be rounded."""
    v = as_id(obj.get(name + "_str"))
    return v if v is not None else as_id(obj.get(name))


def ids_differ(obj, name):
    """Whether both are usable and say different things."""
    number, string = as_id(obj.get(name)), as_id(obj.get(name + "_str"))
    return number is not None and string is not None and number != string


def get_str(obj, name):
    """A string field; null, missing and non-string all mean ''."""
    v = obj.get(name)
    return clean(v) if isinstance(v, str) else ""


def parse_created_at(v):
    """'Fri Apr 04 05:30:11 +0000 2014' -> seconds since 1970, or None."""
    if not isinstance(v, str):
        return None
    p = v.split(" ")
    if len(p) != 6 or p[1] not in MONTHS:
        return None
    hms = p[3].split(":")
    off = p[4]
    digits = [p[2], *hms, off[1:], p[5]]
    if len(hms) != 3 or off[:1] not in ("+", "-") or len(off) != 5 or len(p[5]) != 4:
        return None
    if any(not d or any(c not in "0123456789" for c in d) for d in digits):
        return None
    if not (1 <= len(p[2]) <= 2 and all(len(x) == 2 for x in hms)):
        return None
    hh, mm, ss = (int(x) for x in hms)
    oh, om = int(off[1:3]), int(off[3:5])
    if hh > 23 or mm > 59 or ss > 59 or om > 59:
        return None
    try:
        day = datetime.date(int(p[5]), MONTHS[p[1]], int(p[2]))
    except ValueError:
        return None
    seconds = (day - datetime.date(1970, 1, 1)).days * 86400 + hh * 3600 + mm * 60 + ss
    shift = oh * 3600 + om * 60
    return seconds - shift if off[0] == "+" else seconds + shift


def _no_constants(name):
    raise ValueError(name)


def parse_line(line):
    """One input line -> dict, or None when it is not a JSON object.

    Bytes that are not UTF-8 are read as U+FFFD; Spark's JSON reader drops such a line.
    """
    if isinstance(line, bytes):
        try:
            line = line.decode("utf-8", "strict" if COMPAT == "spark" else "replace")
        except UnicodeDecodeError:
            return None
    try:
        obj = json.loads(line, parse_constant=_no_constants)
    except (ValueError, RecursionError):
        return None
    return obj if isinstance(obj, dict) else None


# --------------------------------------------------------------------------
# extract + filter: one JSON object -> one Tweet, or the reason for dropping it
# --------------------------------------------------------------------------

class Tweet:
    __slots__ = ("tweet_id", "created_at", "text", "user_id", "screen_name",
                 "description", "reply_to", "retweet_to", "rt_screen_name",
                 "rt_description", "hashtags", "ids_differ")

    def canonical(self):
        """Total order used only to choose among duplicates of one tweet id."""
        none = -1
        return (self.created_at, self.text, self.user_id, self.screen_name,
                self.description,
                none if self.reply_to is None else self.reply_to,
                none if self.retweet_to is None else self.retweet_to,
                self.rt_screen_name, self.rt_description, tuple(self.hashtags))


def extract(t):
    """dict -> (Tweet, 'ok') or (None, reason)."""
    w = Tweet()
    w.tweet_id = get_id(t, "id")
    if w.tweet_id is None:
        return None, "no_tweet_id"

    user = t.get("user")
    if not isinstance(user, dict):
        return None, "no_user_id"
    w.user_id = get_id(user, "id")
    if w.user_id is None:
        return None, "no_user_id"

    w.created_at = parse_created_at(t.get("created_at"))
    if w.created_at is None:
        return None, "no_created_at"

    w.text = get_str(t, "text")
    if w.text == "":
        return None, "no_text"

    entities = t.get("entities")
    raw_tags = entities.get("hashtags") if isinstance(entities, dict) else None
    if not isinstance(raw_tags, list) or len(raw_tags) == 0:
        return None, "no_hashtags"
    w.hashtags = []
    for h in raw_tags:
        tag = get_str(h, "text") if isinstance(h, dict) else ""
        if tag != "":
            w.hashtags.append(tag)

    lang = t.get("lang")
    if not isinstance(lang, str) or lang not in LANGUAGES:
        return None, "language"

    w.screen_name = get_str(user, "screen_name")
    w.description = get_str(user, "description")
    w.reply_to = get_id(t, "in_reply_to_user_id")

    w.retweet_to = None
    w.rt_screen_name = w.rt_description = ""
    rs = t.get("retweeted_status")
    if isinstance(rs, dict) and isinstance(rs.get("user"), dict):
        w.retweet_to = get_id(rs["user"], "id")
        if w.retweet_to is not None:
            w.rt_screen_name = get_str(rs["user"], "screen_name")
            w.rt_description = get_str(rs["user"], "description")
    w.ids_differ = (ids_differ(t, "id") or ids_differ(user, "id")
                    or ids_differ(t, "in_reply_to_user_id")
                    or w.retweet_to is not None and ids_differ(rs["user"], "id"))
    return w, "ok"


# --------------------------------------------------------------------------
# notices: lines of Twitter's streams that are not tweets
# --------------------------------------------------------------------------

NOTICES = ("delete", "scrub_geo", "limit", "status_withheld", "user_withheld", "warning")


def notice(t):
    """dict -> (kind, id of the deleted tweet or None), or None when it is not a notice."""
    if get_id(t, "id") is not None:
        return None
    for kind in NOTICES:
        held = t.get(kind)
        if not isinstance(held, dict):
            continue
        if kind != "delete":
            return kind, None
        status = held.get("status")
        tweet_id = get_id(status, "id") if isinstance(status, dict) else None
        if tweet_id is not None:
            return kind, tweet_id
    return None


# --------------------------------------------------------------------------
# transform: tweets -> tables
# --------------------------------------------------------------------------

class Contact:
    """A contact tweet as seen from one pair of users."""
    __slots__ = ("tweet_id", "created_at", "text", "tags", "is_reply", "is_retweet")

    def has_type(self, kind):
        if kind == "reply":
            return self.is_reply
        if kind == "retweet":
            return self.is_retweet
        return True


class Tables:
    def __init__(self):
        self.tweets = {}     # tweet_id -> Tweet (after filter and dedup, without deleted ones)
        self.deleted = set()  # ids of deleted tweets
        self.users = {}      # user_id -> (screen_name, description)
        self.tag_counts = {}  # user_id -> Counter(lower-cased tag), excluded removed
        self.contacts = {}   # user_id -> {other_id: [Contact, ...]}
        self.stats = Counter()


def load_excluded(lines):
    """The excluded (popular) hashtags: one per line, case-insensitive."""
    out = set()
    for line in lines:
        if isinstance(line, bytes):
            line = line.decode("utf-8-sig")
        line = line.strip()
        if line:
            out.add(lower(line))
    return out


def etl(lines, excluded=()):
    excluded = set(lower(x) for x in excluded)
    tb = Tables()
    st = tb.stats

    of_tweet = Counter()  # tweet_id -> valid lines
    for line in lines:
        st["lines"] += 1
        st["bytes"] += len(line)
        obj = parse_line(line)
        if obj is None:
            st["drop_not_json"] += 1
            continue
        found = notice(obj)
        if found is not None:
            st["notice_" + found[0]] += 1
            if found[1] is not None:
                tb.deleted.add(found[1])
            continue
        tweet, why = extract(obj)
        if tweet is None:
            st["drop_" + why] += 1
            continue
        st["valid"] += 1
        st["ids_differ"] += tweet.ids_differ
        of_tweet[tweet.tweet_id] += 1
        old = tb.tweets.get(tweet.tweet_id)
        if old is None or tweet.canonical() > old.canonical():
            tb.tweets[tweet.tweet_id] = tweet

    # A deletion wins over its tweet, whichever came first.
    for tweet_id in tb.deleted:
        tb.tweets.pop(tweet_id, None)
        st["deleted"] += of_tweet.pop(tweet_id, 0)
    st["duplicates"] = sum(count - 1 for count in of_tweet.values())

    build(tb, excluded)
    return tb


def build(tb, excluded):
    latest = {}  # user_id -> ((created_at, tweet_id, is_sender), screen_name, description)

    def seen(user_id, key, screen_name, description):
        if user_id not in latest or key > latest[user_id][0]:
            latest[user_id] = (key, screen_name, description)

    for t in tb.tweets.values():
        # user information, from the sender and from the retweeted author
        seen(t.user_id, (t.created_at, t.tweet_id, 1), t.screen_name, t.description)
        if t.retweet_to is not None:
            seen(t.retweet_to, (t.created_at, t.tweet_id, 0),
                 t.rt_screen_name, t.rt_description)

        # hashtags posted by the sender
        tags = [lower(h) for h in t.hashtags]
        for tag in tags:
            if tag not in excluded:
                tb.tag_counts.setdefault(t.user_id, Counter())[tag] += 1

        # contact tweets
        targets = {}
        if t.reply_to is not None:
            targets.setdefault(t.reply_to, set()).add("reply")
        if t.retweet_to is not None:
            targets.setdefault(t.retweet_to, set()).add("retweet")
        for other, kinds in targets.items():
            c = Contact()
            c.tweet_id, c.created_at, c.text, c.tags = t.tweet_id, t.created_at, t.text, tags
            c.is_reply, c.is_retweet = "reply" in kinds, "retweet" in kinds
            tb.contacts.setdefault(t.user_id, {}).setdefault(other, []).append(c)
            if other != t.user_id:
                tb.contacts.setdefault(other, {}).setdefault(t.user_id, []).append(c)

    for user_id, (_, screen_name, description) in latest.items():
        tb.users[user_id] = (screen_name, description)

    st = tb.stats
    st["tweets"] = len(tb.tweets)
    st["users_with_info"] = len(tb.users)
    st["users_with_contacts"] = len(tb.contacts)
    st["directed_pairs"] = sum(len(v) for v in tb.contacts.values())
    st["contact_rows"] = sum(len(c) for v in tb.contacts.values() for c in v.values())


# --------------------------------------------------------------------------
# scores
# --------------------------------------------------------------------------

def interaction_score(reply_count, retweet_count):
    return math.log(1 + 2 * reply_count + retweet_count)


def same_tag_count(tb, a, b):
    ca, cb = tb.tag_counts.get(a, {}), tb.tag_counts.get(b, {})
    return sum(ca[tag] + cb[tag] for tag in ca if tag in cb)


def hashtag_score(tb, a, b):
    if a == b:
        return 1.0
    n = same_tag_count(tb, a, b)
    return 1.0 + math.log(1 + n - 10) if n > 10 else 1.0


def count_phrase(text, phrase):
    """Case-sensitive matches of phrase in text, overlaps included."""
    return sum(1 for i in range(len(text) - len(phrase) + 1)
               if text.startswith(phrase, i))


def keywords_score(contacts, kind, phrase, hashtag):
    chosen = [c for c in contacts if c.has_type(kind)]
    if not chosen:
        return 0.0
    wanted = lower(hashtag)
    matches = sum(count_phrase(c.text, phrase) + c.tags.count(wanted) for c in chosen)
    return 1.0 + math.log(matches + 1)


def rounded(score):
    """Five decimals, half up, as an integer number of 0.00001 steps."""
    return int((Decimal(score) * 100000).quantize(Decimal(1), ROUND_HALF_UP))


def scored(tb, user_id, kind, phrase, hashtag):
    """[(rounded_score, other_id, screen_name, description, text, parts)], ranked."""
    rows = []
    for other, contacts in tb.contacts.get(user_id, {}).items():
        replies = sum(1 for c in contacts if c.is_reply)
        retweets = sum(1 for c in contacts if c.is_retweet)
        i = interaction_score(replies, retweets)
        h = hashtag_score(tb, user_id, other)
        k = keywords_score(contacts, kind, phrase, hashtag)
        score = rounded(i * h * k)
        if score <= 0:
            continue
        latest = max((c for c in contacts if c.has_type(kind)),
                     key=lambda c: (c.created_at, c.tweet_id))
        screen_name, description = tb.users.get(other, ("", ""))
        rows.append((score, other, screen_name, description, latest.text, (i, h, k)))
    rows.sort(key=lambda r: (-r[0], -r[1]))
    return rows


# --------------------------------------------------------------------------
# responses
# --------------------------------------------------------------------------

def header():
    return TEAM_ID + "," + TEAM_AWS_ACCOUNT_ID


def invalid():
    return (header() + "\nINVALID").encode("utf-8")


def query(tb, user_id, kind, phrase, hashtag, offset=0, limit=None):
    """Well-formed request -> response body (bytes)."""
    rows = scored(tb, user_id, kind, phrase, hashtag)
    if not rows:
        if EMPTY_POLICY == "invalid":
            return invalid()
        return (header() + ("\n" if EMPTY_POLICY == "header_nl" else "")).encode("utf-8")
    lines = [header()]
    rows = rows[offset:] if limit is None else rows[offset:offset + limit]
    if not rows:
        lines.append("")
    for _, other, screen_name, description, text, _ in rows:
        lines.append("%d\t%s\t%s\t%s" % (other, screen_name, description, text))
    return "\n".join(lines).encode("utf-8")


def percent_decode(raw):
    """application/x-www-form-urlencoded decoding of one name or value (bytes)."""
    hexdigits = b"0123456789abcdefABCDEF"
    out, i = bytearray(), 0
    while i < len(raw):
        c = raw[i]
        if c == 0x2B:
            out.append(0x20)
        elif (c == 0x25 and i + 2 < len(raw) and raw[i + 1] in hexdigits
              and raw[i + 2] in hexdigits):
            out.append(int(raw[i + 1:i + 3], 16))
            i += 2
        else:
            out.append(c)
        i += 1
    return bytes(out).decode("utf-8", "replace")


def parse_query(raw):
    """Raw query string -> {name: value}; the first occurrence of a name wins."""
    if isinstance(raw, str):
        raw = raw.encode("utf-8")
    params = {}
    for piece in raw.split(b"&"):
        if piece:
            name, _, value = piece.partition(b"=")
            params.setdefault(percent_decode(name), percent_decode(value))
    return params


def handle(tb, raw):
    p = parse_query(raw)
    user_id, kind = p.get("user_id", ""), p.get("type", "")
    phrase, hashtag = p.get("phrase", ""), p.get("hashtag", "")
    if not (user_id and kind and phrase and hashtag) or kind not in TYPES:
        return invalid()
    uid = as_id(user_id)
    if uid is None:
        return invalid()
    page = {}
    for name, least in (("limit", 1), ("offset", 0)):
        if name in p:
            page[name] = as_id(p[name])
            if page[name] is None or page[name] < least:
                return None  # no answer of the protocol: 400
    return query(tb, uid, kind, phrase, hashtag, **page)


# --------------------------------------------------------------------------
# command line
# --------------------------------------------------------------------------

def open_lines(path):
    """Yields raw lines (bytes) without the trailing newline."""
    f = sys.stdin.buffer if path == "-" else (
        gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb"))
    with f:
        for line in f:
            yield line[:-1] if line.endswith(b"\n") else line


def load(args):
    excluded = ()
    if args.excluded:
        with open(args.excluded, "rb") as f:
            excluded = load_excluded(f)

    def lines():
        for path in args.data:
            yield from open_lines(path)
    return etl(lines(), excluded)


def dump(tb, out):
    """One JSON line per user with contacts, by ascending id: what a store holds."""
    def last(cs, kind):
        chosen = [(c.created_at, c.tweet_id) for c in cs if c.has_type(kind)]
        return max(chosen)[1] if chosen else None
    for uid in sorted(tb.contacts):
        contacts = []
        for other in sorted(tb.contacts[uid]):
            cs = sorted(tb.contacts[uid][other], key=lambda c: (c.created_at, c.tweet_id))
            replies, retweets = sum(c.is_reply for c in cs), sum(c.is_retweet for c in cs)
            screen_name, description = tb.users.get(other, ("", ""))
            contacts.append({
                "user_id": other, "screen_name": screen_name, "description": description,
                "replies": replies, "retweets": retweets,
                "same": 0 if uid == other else same_tag_count(tb, uid, other),
                "product": "%.9f" % (interaction_score(replies, retweets) * hashtag_score(tb, uid, other)),
                "latest": [last(cs, kind) for kind in TYPES],
                "tweets": [{"id": c.tweet_id, "created_at": c.created_at,
                            "types": int(c.is_reply) + 2 * int(c.is_retweet),
                            "text": c.text, "tags": c.tags} for c in cs]})
        out.write(json.dumps({"user_id": uid, "contacts": contacts}, ensure_ascii=False,
                             separators=(",", ":")) + "\n")


def tables(tb, out):
    """Canonical, sorted text form of the tables themselves."""
    def line(kind, *cols):
        out.write(json.dumps([kind, *cols], ensure_ascii=True, separators=(",", ":")) + "\n")
    for uid in sorted(tb.users):
        line("user", uid, *tb.users[uid])
    for uid in sorted(tb.tag_counts):
        for tag in sorted(tb.tag_counts[uid]):
            line("tag", uid, tag, tb.tag_counts[uid][tag])
    for uid in sorted(tb.contacts):
        for other in sorted(tb.contacts[uid]):
            cs = tb.contacts[uid][other]
            line("pair", uid, other, sum(c.is_reply for c in cs),
                 sum(c.is_retweet for c in cs), 0 if uid == other else same_tag_count(tb, uid, other))
            for c in sorted(cs, key=lambda c: (c.created_at, c.tweet_id)):
                line("contact", uid, other, c.tweet_id, c.created_at,
                     int(c.is_reply) + 2 * int(c.is_retweet), c.text, c.tags)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("command", choices=("query", "answer", "dump", "tables", "stats"))
    ap.add_argument("raw", nargs="*")
    ap.add_argument("--data", action="append", required=True)
    ap.add_argument("--excluded")
    ap.add_argument("--queries")
    ap.add_argument("--out", default="-")
    ap.add_argument("--scores", action="store_true")
    ap.add_argument("--team", default=TEAM_ID)
    ap.add_argument("--aws", default=TEAM_AWS_ACCOUNT_ID)
    ap.add_argument("--empty", choices=("invalid", "header", "header_nl"), default=EMPTY_POLICY)
    ap.add_argument("--compat", choices=("replace", "spark"), default=COMPAT)
    args = ap.parse_args()
    globals().update(COMPAT=args.compat)
    globals().update(TEAM_ID=args.team, TEAM_AWS_ACCOUNT_ID=args.aws, EMPTY_POLICY=args.empty)
    tb = load(args)
    if args.command == "stats":
        for k in sorted(tb.stats):
            print(k, tb.stats[k])
        return
    if args.command == "query":
        for raw in args.raw:
            sys.stdout.buffer.write(handle(tb, raw) + b"\n")
            if args.scores:
                p = parse_query(raw)
                for r in scored(tb, int(p["user_id"]), p["type"], p["phrase"], p["hashtag"]):
                    print("  ", r[0] / 100000, r[1], r[5], file=sys.stderr)
        return
    out = sys.stdout if args.out == "-" else open(args.out, "w", encoding="utf-8", newline="\n")
    with out:
        if args.command == "dump":
            dump(tb, out)
        elif args.command == "tables":
            tables(tb, out)
        else:  # answer: one JSON array [query string, body] per line
            for raw in open_lines(args.queries):
                out.write(json.dumps([raw.decode("utf-8"), handle(tb, raw).decode("utf-8")]) + "\n")


if __name__ == "__main__":
    main()
