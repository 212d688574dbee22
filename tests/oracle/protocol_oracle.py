#!/usr/bin/env python3
"""Reference oracle for two endpoints of the CMU cloud-computing team project.

  blockchain(cc)          -> response body of GET /blockchain?cc=...
  qr_encode(msg)          -> hex text of GET /qrcode?type=encode&data=...
  qr_decode(hexs)         -> the bytes hidden in a 32x32 grid (None: no code found)

and the generators the tests and benches need:

  gen_chain(seed, n_blocks, txs_per_block)  -> cc of a VALID request
  mutate(cc, kind, seed)                    -> cc of an INVALID request (see MUTATIONS)
  gen_qr_decode(seed, msg, rotation, offset)-> 32x32 decode input

tests/oracle/cases.py makes requests with their answers out of it.

Standard library only.  Written from docs/protocol/blockchain.md and docs/protocol/qrcode.md; not tuned for speed.
"""
import base64
import binascii
import copy
import hashlib
import json
import math
import random
import re
import zlib

# --------------------------------------------------------------------------
# constants
# --------------------------------------------------------------------------
TEAM = "TEAMID"
AWS = "000000000000"

RSA_N = 1561906343821            # = 1231697 * 1268093
RSA_P, RSA_Q = 1231697, 1268093
PHI = (RSA_P - 1) * (RSA_Q - 1)  # 1561903844032
TEAM_E = 1097844002039           # the team's account number == public exponent
TEAM_D = 343710770439            # the team's private exponent

REWARD0 = 500000000
TEN_MIN = 600000000000           # nanoseconds
GENESIS_PREV = "00000000"
I63 = 1 << 63
TRIES_MAX = 1 << 16              # the server's default for blockchain.mining_tries_max
INFLATED_BYTES_MAX = 256 << 10   # and for blockchain.inflated_bytes_max


class Invalid(Exception):
    """Raised with a short reason; the endpoint turns it into INVALID."""


# --------------------------------------------------------------------------
# blockchain: hashes and signatures
# --------------------------------------------------------------------------
def sha(text):
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def cchash(text):
    return sha(text)[:8]


def tx_hash(tx):
    send = "" if tx.get("send") is None else str(tx["send"])
    fee = "" if tx.get("fee") is None else str(tx["fee"])
    return cchash("%s|%s|%d|%d|%s" % (tx["time"], send, tx["recv"], tx["amt"], fee))


def block_seed(block_id, prev_hash, hashes):
    """Inner digest; the block hash is cchash(seed + pow)."""
    return sha("|".join([str(block_id), prev_hash] + list(hashes)))


def reward_amt(block_id):
    return REWARD0 >> (block_id // 2)


def sign(txhash, d=TEAM_D):
    return pow(int(txhash, 16), d, RSA_N)


def verify(sig, send, txhash):
    return pow(sig, send, RSA_N) == int(txhash, 16)


def private_of(e):
    return pow(e, -1, PHI)


def hit_probability(target):
    """P(8 random hex digits < target, compared as strings)."""
    frac, scale = 0.0, 1.0
    for ch in target[:8]:
        # digits sort before letters, so count the hex digits below ch
        below = sum(1 for h in "0123456789abcdef" if h < ch)
        frac += below * scale / 16
        if ch not in "0123456789abcdef":
            return frac
        scale /= 16
    if len(target) > 8:              # a prefix is smaller than the longer string
        frac += scale
    return frac


def mine(seed, target):
    """Smallest pow >= 0, as decimal text, whose hash sorts before target."""
    if hit_probability(target) <= 0.0:
        raise Invalid("unreachable target")
    for n in range(TRIES_MAX):
        h = cchash(seed + str(n))
        if h < target:
            return str(n), h
    raise Invalid("search too long")


# --------------------------------------------------------------------------
# blockchain: transport
# --------------------------------------------------------------------------
def _not_json(name):
    raise Invalid("%s is not JSON" % name)


def unpack(cc):
    """cc text -> parsed JSON.  Padding optional, both base64 alphabets accepted."""
    s = cc.strip().replace("%3D", "=").replace("%3d", "=").rstrip("=")
    s = s.replace("+", "-").replace("/", "_")
    if not s or len(s) % 4 == 1 or not re.fullmatch(r"[A-Za-z0-9_-]+", s):
        raise Invalid("base64")
    try:
        raw = base64.urlsafe_b64decode(s + "=" * (-len(s) % 4))
        z = zlib.decompressobj()
        # Bytes after the zlib stream are ignored.
        text = z.decompress(raw, INFLATED_BYTES_MAX + 1)
        if len(text) > INFLATED_BYTES_MAX:
            raise Invalid("inflates to too much")
        if not z.eof:
            raise Invalid("zlib truncated")
        return json.loads(text.decode("utf-8"), parse_constant=_not_json)
    except (binascii.Error, zlib.error, ValueError, RecursionError) as e:
        raise Invalid("decode: %s" % e)


def pack(obj):
    text = json.dumps(obj, separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(zlib.compress(text.encode("utf-8"))).decode("ascii")


# --------------------------------------------------------------------------
# blockchain: validation
# --------------------------------------------------------------------------
FULL = {"sig", "recv", "fee", "amt", "time", "send", "hash"}
REWARD = {"recv", "amt", "time", "hash"}
OWN = {"recv", "amt", "time"}


def _int(v, what, low=0):
    if isinstance(v, bool) or not isinstance(v, int):
        raise Invalid("%s is not an integer" % what)
    if not low <= v < I63:
        raise Invalid("%s out of range" % what)
    return v


def _str(v, what):
    if not isinstance(v, str):
        raise Invalid("%s is not a string" % what)
    return v


def _list(v, what):
    if not isinstance(v, list):
        raise Invalid("%s is not an array" % what)
    return v


def _kind(tx):
    """The set of present (non-null) fields decides what a transaction is."""
    if not isinstance(tx, dict):
        raise Invalid("transaction is not an object")
    keys = {k for k, v in tx.items() if v is not None}
    for name, want in (("full", FULL), ("reward", REWARD), ("own", OWN)):
        if keys == want:
            return name
    raise Invalid("transaction has fields %s" % sorted(keys))


def _time(tx, last):
    t = _str(tx["time"], "time")
    if not re.fullmatch(r"[0-9]{1,19}", t) or int(t) >= I63:
        raise Invalid("time is not a number")
    if int(t) <= last:
        raise Invalid("time does not increase")
    return int(t)


def _full(tx, balance, check_balance):
    for f in ("sig", "recv", "fee", "amt", "send"):
        _int(tx[f], f)
    if tx_hash(tx) != _str(tx["hash"], "hash"):
        raise Invalid("transaction hash")
    if not verify(tx["sig"], tx["send"], tx["hash"]):
        raise Invalid("signature")
    _move(tx["send"], tx["recv"], tx["amt"], tx["fee"], balance, check_balance)


def _move(send, recv, amt, fee, balance, check_balance):
    left = balance.get(send, 0) - amt - fee
    if check_balance and left < 0:
        raise Invalid("overdraw")
    balance[send] = left
    balance[recv] = balance.get(recv, 0) + amt


def extend(req, check_balance=True):
    """Validate a parsed request and return {"chain": [...]} with the new block."""
    if not isinstance(req, dict):
        raise Invalid("not an object")
    for k in ("chain", "new_target", "new_tx"):
        if k not in req:
            raise Invalid("missing %s" % k)
    chain = _list(req["chain"], "chain")
    new_target = _str(req["new_target"], "new_target")
    new_tx = _list(req["new_tx"], "new_tx")

    balance, last, prev = {}, 0, GENESIS_PREV
    for i, blk in enumerate(chain):
        if not isinstance(blk, dict):
            raise Invalid("block is not an object")
        for k in ("all_tx", "pow", "id", "hash", "target"):
            if k not in blk:
                raise Invalid("block misses %s" % k)
        if _int(blk["id"], "id") != i:
            raise Invalid("block id")
        txs = _list(blk["all_tx"], "all_tx")
        if not txs:
            raise Invalid("block without reward")
        fees = 0
        for j, tx in enumerate(txs):
            want = "reward" if j == len(txs) - 1 else "full"
            if _kind(tx) != want:
                raise Invalid("%s transaction expected" % want)
            last = _time(tx, last)
            if want == "full":
                _full(tx, balance, check_balance)
                fees += tx["fee"]
            else:
                if _int(tx["amt"], "amt") != reward_amt(i):
                    raise Invalid("reward amount")
                _int(tx["recv"], "recv")
                if tx_hash(tx) != _str(tx["hash"], "hash"):
                    raise Invalid("transaction hash")
                r = tx["recv"]
                balance[r] = balance.get(r, 0) + tx["amt"] + fees
        h = cchash(block_seed(i, prev, [t["hash"] for t in txs]) + _str(blk["pow"], "pow"))
        if h != _str(blk["hash"], "hash"):
            raise Invalid("block hash")
        if not h < _str(blk["target"], "target"):
            raise Invalid("target")
        prev = h

    chain_end = last                      # time of the last reward of the old chain
    done = []
    for tx in new_tx:
        kind = _kind(tx)
        if kind == "reward":
            raise Invalid("reward in new_tx")
        last = _time(tx, last)
        if kind == "full":
            _full(tx, balance, check_balance)
            done.append(tx)
            continue
        _int(tx["recv"], "recv")
        _int(tx["amt"], "amt")
        own = {"recv": tx["recv"], "fee": 0, "amt": tx["amt"], "time": tx["time"],
               "send": TEAM_E}
        h = tx_hash(own)
        done.append({"sig": sign(h), **own, "hash": h})
        _move(TEAM_E, tx["recv"], tx["amt"], 0, balance, check_balance)

    bid = len(chain)
    reward = {"recv": TEAM_E, "amt": reward_amt(bid), "time": str(chain_end + TEN_MIN)}
    reward["hash"] = tx_hash(reward)
    done.append(reward)
    p, h = mine(block_seed(bid, prev, [t["hash"] for t in done]), new_target)
    block = {"all_tx": done, "pow": p, "id": bid, "hash": h, "target": new_target}
    return {"chain": chain + [block]}


def blockchain(cc, team=TEAM, aws=AWS, check_balance=True):
    head = "%s,%s\n" % (team, aws)
    try:
        return head + pack(extend(unpack(cc), check_balance))
    except Invalid:
        return head + "INVALID"


def reason(cc, check_balance=True):
    """Why a request is INVALID (None if it is valid)."""
    try:
        extend(unpack(cc), check_balance)
        return None
    except Invalid as e:
        return str(e)


# --------------------------------------------------------------------------
# blockchain: generators
# --------------------------------------------------------------------------
def _is_prime(n):
    if n < 2:
        return False
    for p in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        if n % p == 0:
            return n == p
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for a in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        x = pow(a, d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def new_account(rng):
    """(e, d): a 40-bit prime account number and its private exponent."""
    while True:
        e = rng.getrandbits(40) | (1 << 39) | 1
        if e < (1 << 40) and _is_prime(e) and math.gcd(e, PHI) == 1:
            return e, private_of(e)


TARGETS = ["06", "07", "08", "09", "0a", "0b", "0c", "0d", "0e", "1"]
T0 = 1582520400000000000


def _tx(send, d, recv, amt, fee, t):
    tx = {"recv": recv, "fee": fee, "amt": amt, "time": str(t), "send": send}
    h = tx_hash(tx)
    return {"sig": sign(h, d), **tx, "hash": h}


def gen_request(seed, n_blocks=3, txs_per_block=1, new_txs=2, targets=None, own=0.5):
    """A valid parsed request shaped like the course's load generator makes them:
    fixed genesis, then n_blocks-1 blocks ten minutes apart, then new_txs
    transactions (about `own` of them the team's own, unsigned).
    txs_per_block: a number, or a list to draw from for every block."""
    rng = random.Random(seed)
    targets = targets or TARGETS
    keys = {TEAM_E: TEAM_D}
    balance = {}
    chain, prev, last = [], GENESIS_PREV, None

    def pick_sender():
        rich = [a for a, v in balance.items() if v > 2000000]
        return rng.choice(rich) if rich else None

    def pick_recv():
        if rng.random() < 0.5 or len(keys) > 4:
            return rng.choice(list(keys))
        e, d = new_account(rng)
        keys[e] = d
        return e

    def spend(t):
        s = pick_sender()
        if s is None:
            return None
        cap = balance[s]
        amt = rng.randint(1, max(1, min(50000000, cap // 2)))
        fee = rng.randint(0, min(5000000, cap - amt))
        r = pick_recv()
        balance[s] -= amt + fee
        balance[r] = balance.get(r, 0) + amt
        return _tx(s, keys[s], r, amt, fee, t), fee

    for i in range(n_blocks):
        txs, fees = [], 0
        if i == 0:
            t_reward, miner = T0, TEAM_E
        else:
            t = last
            per = txs_per_block if isinstance(txs_per_block, int) else rng.choice(txs_per_block)
            for _ in range(per):
                t += rng.randint(10 ** 9, 10 ** 9 + 59 * 10 ** 9 // max(1, per // 2))
                got = spend(t)
                if got:
                    txs.append(got[0])
                    fees += got[1]
            t_reward = max(last + TEN_MIN + rng.randint(-2 * 10 ** 9, 2 * 10 ** 9), t + 1)
            miner = pick_recv()
        rew = {"recv": miner, "amt": reward_amt(i), "time": str(t_reward)}
        rew["hash"] = tx_hash(rew)
        txs.append(rew)
        balance[miner] = balance.get(miner, 0) + rew["amt"] + fees
        target = rng.choice(targets)
        p, h = mine(block_seed(i, prev, [x["hash"] for x in txs]), target)
        chain.append({"all_tx": txs, "pow": p, "id": i, "hash": h, "target": target})
        prev, last = h, t_reward

    new, t = [], last or 0
    for _ in range(new_txs):
        t += rng.randint(10 ** 9, 60 * 10 ** 9)
        if rng.random() < own and balance.get(TEAM_E, 0) > 1000:
            amt = rng.randint(1, min(70000000, balance[TEAM_E] // 2))
            r = pick_recv()
            balance[TEAM_E] -= amt
            balance[r] = balance.get(r, 0) + amt
            new.append({"recv": r, "amt": amt, "time": str(t)})
        else:
            got = spend(t)
            if got:
                new.append(got[0])
    return {"chain": chain, "new_target": rng.choice(targets), "new_tx": new}


def gen_chain(seed, n_blocks=3, txs_per_block=1, **kw):
    return pack(gen_request(seed, n_blocks, txs_per_block, **kw))


def gen_like_course(seed):
    """A valid cc drawn with the proportions seen in 20 public generator samples."""
    rng = random.Random("course/%s" % seed)
    return gen_chain(seed, rng.choices((2, 3, 4), (9, 5, 6))[0], [1, 1, 2],
                     new_txs=rng.choices((0, 1, 2, 3, 4), (7, 6, 4, 2, 1))[0],
                     targets=["06"] * 5 + ["07"] * 2 + ["08"] * 5 + ["09"] * 6 + ["0a"] * 9
                     + ["0b"] * 6 + ["0c"] * 6 + ["0d"] * 10 + ["0e"] * 14 + ["1"] * 13)


def _reseal(req, start=0):
    """Recompute reward/block hashes and pow from block `start` on, so that a
    mutation is the only thing wrong.  Signed transactions keep their fields."""
    chain = req["chain"]
    prev = chain[start - 1]["hash"] if start else GENESIS_PREV
    for i in range(start, len(chain)):
        b = chain[i]
        seed = block_seed(b["id"], prev, [t.get("hash", "") for t in b["all_tx"]])
        b["pow"], b["hash"] = mine(seed, b["target"])
        prev = b["hash"]
    return req


def _resign(tx, d):
    tx["hash"] = tx_hash(tx)
    tx["sig"] = sign(tx["hash"], d)


MUTATIONS = [
    "bad_base64", "bad_zlib", "truncated_zlib", "bad_json", "missing_chain",
    "missing_new_tx", "missing_new_target", "id_string", "pow_number", "time_number",
    "block_id_jump", "block_hash", "block_pow", "hash_over_target", "prev_hash",
    "tx_hash", "tx_sig", "tx_sender", "negative_amt", "negative_fee", "float_amt",
    "overdraw", "overdraw_by_fee", "unknown_sender", "time_equal", "time_backwards",
    "time_backwards_block", "reward_amount", "reward_missing", "reward_twice",
    "reward_not_last", "reward_with_fee", "empty_all_tx", "missing_field",
    "new_time", "new_sig", "new_hash", "new_overdraw", "new_own_overdraw",
    "new_reward", "new_missing_field", "new_negative",
]


def mutate(cc_or_req, kind, seed=0):
    """An INVALID request made from a valid one.  Everything but the named rule
    still holds: hashes, signatures and pow are redone after the change."""
    rng = random.Random("%s/%s" % (kind, seed))
    req = copy.deepcopy(cc_or_req) if isinstance(cc_or_req, dict) else unpack(cc_or_req)
    if extend(copy.deepcopy(req)) is None:
        raise ValueError("input is not valid")
    cc = pack(req)
    chain = req["chain"]
    spots = [(i, j) for i, b in enumerate(chain) for j in range(len(b["all_tx"]) - 1)]
    if kind == "bad_base64":
        return cc[:40] + "*" + cc[41:]
    if kind == "bad_zlib":
        raw = bytearray(base64.urlsafe_b64decode(cc))
        raw[len(raw) // 2] ^= 0x55
        return base64.urlsafe_b64encode(bytes(raw)).decode()
    if kind == "truncated_zlib":
        raw = base64.urlsafe_b64decode(cc)
        return base64.urlsafe_b64encode(raw[:len(raw) * 2 // 3]).decode()
    if kind == "bad_json":
        text = json.dumps(req, separators=(",", ":"))[:-1]
        return base64.urlsafe_b64encode(zlib.compress(text.encode())).decode()
    if kind.startswith("missing_") and kind != "missing_field":
        del req[kind[8:]]
        return pack(req)

    def spot():
        if not spots:
            raise ValueError("%s needs a signed transaction in the chain" % kind)
        i, j = rng.choice(spots)
        tx = chain[i]["all_tx"][j]
        # private_of works for every account, because phi is known
        return i, tx, private_of(tx["send"])

    b = rng.randrange(len(chain))
    if kind == "id_string":
        chain[b]["id"] = str(chain[b]["id"])
    elif kind == "pow_number":
        chain[b]["pow"] = int(chain[b]["pow"])
    elif kind == "time_number":
        t = chain[b]["all_tx"][-1]
        t["time"] = int(t["time"])
    elif kind == "block_id_jump":
        chain[-1]["id"] += 1
        _reseal(req, len(chain) - 1)
    elif kind == "block_hash":
        h = chain[b]["hash"]
        chain[b]["hash"] = h[:7] + ("0" if h[7] != "0" else "1")
    elif kind == "block_pow":
        old = chain[b]["pow"]
        prev = chain[b - 1]["hash"] if b else GENESIS_PREV
        seed_ = block_seed(b, prev, [t["hash"] for t in chain[b]["all_tx"]])
        n = int(old) + 1
        while cchash(seed_ + str(n)) == chain[b]["hash"]:
            n += 1
        chain[b]["pow"] = str(n)
    elif kind == "hash_over_target":
        chain[b]["target"] = chain[b]["hash"]          # equal is not smaller
    elif kind == "prev_hash":
        if len(chain) < 2:
            raise ValueError("needs two blocks")
        i = rng.randrange(1, len(chain))
        seed_ = block_seed(i, GENESIS_PREV if i > 1 else "11111111",
                           [t["hash"] for t in chain[i]["all_tx"]])
        chain[i]["pow"], chain[i]["hash"] = mine(seed_, chain[i]["target"])
        _reseal(req, i + 1)
    elif kind == "tx_hash":
        i, tx, d = spot()
        tx["hash"] = "%08x" % (int(tx["hash"], 16) ^ 1)
        tx["sig"] = sign(tx["hash"], d)
        _reseal(req, i)
    elif kind == "tx_sig":
        i, tx, d = spot()
        tx["sig"] = (tx["sig"] + 1) % RSA_N
    elif kind == "tx_sender":
        i, tx, d = spot()
        tx["sig"] = sign(tx["hash"], new_account(rng)[1])
    elif kind == "negative_amt":
        i, tx, d = spot()
        tx["amt"] = -rng.randint(1, 10 ** 6)
        _resign(tx, d)
        _reseal(req, i)
    elif kind == "negative_fee":
        i, tx, d = spot()
        tx["fee"] = -rng.randint(1, 10 ** 6)
        _resign(tx, d)
        _reseal(req, i)
    elif kind == "float_amt":
        i, tx, d = spot()
        tx["amt"] = tx["amt"] + 0.5
    elif kind in ("overdraw", "overdraw_by_fee"):
        i, tx, d = spot()
        have = _balance_before(req, tx)
        if kind == "overdraw":
            tx["amt"] = have + rng.randint(1, 10 ** 6)
        else:
            tx["amt"], tx["fee"] = have, 1
        _resign(tx, d)
        _reseal(req, i)
    elif kind == "unknown_sender":
        i, tx, _ = spot()
        e, d = new_account(rng)
        tx["send"] = e
        _resign(tx, d)
        _reseal(req, i)
    elif kind in ("time_equal", "time_backwards", "time_backwards_block"):
        i, tx, d = spot()
        before = int(chain[i - 1]["all_tx"][-1]["time"])
        if kind == "time_backwards_block":            # the reward goes back
            tx, d, before = chain[i]["all_tx"][-1], None, int(chain[i]["all_tx"][-2]["time"])
        else:
            tx = chain[i]["all_tx"][0]
            d = private_of(tx["send"])
        tx["time"] = str(before if kind == "time_equal" else before - rng.randint(1, 10 ** 9))
        if d is None:
            tx["hash"] = tx_hash(tx)
        else:
            _resign(tx, d)
        _reseal(req, i)
    elif kind == "reward_amount":
        tx = chain[b]["all_tx"][-1]
        tx["amt"] = tx["amt"] * 2
        tx["hash"] = tx_hash(tx)
        _reseal(req, b)
    elif kind == "reward_missing":
        i = len(chain) - 1
        if len(chain[i]["all_tx"]) < 2:
            raise ValueError("needs a signed transaction in the last block")
        chain[i]["all_tx"].pop()
        _reseal(req, i)
    elif kind == "reward_twice":
        r = copy.deepcopy(chain[b]["all_tx"][-1])
        t0 = int(r["time"])
        chain[b]["all_tx"][-1]["time"] = str(t0 - 1)
        chain[b]["all_tx"][-1]["hash"] = tx_hash(chain[b]["all_tx"][-1])
        chain[b]["all_tx"].append(r)
        _reseal(req, b)
    elif kind == "reward_not_last":
        i, tx, d = spot()
        txs = chain[i]["all_tx"]
        txs[-1], txs[-2] = txs[-2], txs[-1]
        txs[-1]["time"], txs[-2]["time"] = txs[-2]["time"], txs[-1]["time"]
        _resign(txs[-1], private_of(txs[-1]["send"]))
        txs[-2]["hash"] = tx_hash(txs[-2])
        _reseal(req, i)
    elif kind == "reward_with_fee":
        chain[b]["all_tx"][-1]["fee"] = 0
        chain[b]["all_tx"][-1]["hash"] = tx_hash(chain[b]["all_tx"][-1])
        _reseal(req, b)
    elif kind == "empty_all_tx":
        chain[-1]["all_tx"] = []
        _reseal(req, len(chain) - 1)
    elif kind == "missing_field":
        i, tx, d = spot()
        del tx[rng.choice(["sig", "fee", "send", "hash"])]
        _reseal(req, i)
    elif kind.startswith("new_"):
        chain_end = int(chain[-1]["all_tx"][-1]["time"])
        end = max([chain_end] + [int(t["time"]) for t in req["new_tx"]])
        if kind == "new_time":
            req["new_tx"] = [{"recv": TEAM_E, "amt": 1, "time": str(chain_end)}]
        elif kind == "new_own_overdraw":
            have = _balances(req).get(TEAM_E, 0)
            req["new_tx"].append({"recv": new_account(rng)[0], "amt": have + 1,
                                  "time": str(end + 1)})
        elif kind == "new_reward":
            r = {"recv": TEAM_E, "amt": reward_amt(len(chain)), "time": str(end + 1)}
            r["hash"] = tx_hash(r)
            req["new_tx"].append(r)
        else:
            bal = _balances(req)
            s = max(bal, key=bal.get)
            tx = _tx(s, private_of(s), new_account(rng)[0], 1, 0, end + 1)
            if kind == "new_sig":
                tx["sig"] = (tx["sig"] + 1) % RSA_N
            elif kind == "new_hash":
                tx["hash"] = "%08x" % (int(tx["hash"], 16) ^ 1)
                tx["sig"] = sign(tx["hash"], private_of(s))
            elif kind == "new_overdraw":
                tx["amt"] = bal[s] + rng.randint(1, 10 ** 6)
                _resign(tx, private_of(s))
            elif kind == "new_missing_field":
                del tx[rng.choice(["sig", "fee", "send", "hash"])]
            elif kind == "new_negative":
                tx["amt"] = -5
                _resign(tx, private_of(s))
            else:
                raise ValueError(kind)
            req["new_tx"].append(tx)
    else:
        raise ValueError(kind)
    return pack(req)


def _walk(req):
    for b in req["chain"]:
        fees = 0
        for tx in b["all_tx"]:
            yield tx, fees
            fees += tx.get("fee", 0)
    for tx in req["new_tx"]:
        yield tx, None


def _balances(req, stop=None):
    bal = {}
    for tx, fees in _walk(req):
        if tx is stop:
            break
        if "send" in tx:
            bal[tx["send"]] = bal.get(tx["send"], 0) - tx["amt"] - tx["fee"]
            bal[tx["recv"]] = bal.get(tx["recv"], 0) + tx["amt"]
        elif fees is None:
            bal[TEAM_E] = bal.get(TEAM_E, 0) - tx["amt"]
            bal[tx["recv"]] = bal.get(tx["recv"], 0) + tx["amt"]
        else:
            bal[tx["recv"]] = bal.get(tx["recv"], 0) + tx["amt"] + fees
    return bal


def _balance_before(req, tx):
    return _balances(req, tx).get(tx["send"], 0)


# --------------------------------------------------------------------------
# QR code
# --------------------------------------------------------------------------
SIZES = {1: 21, 2: 25}
CAPACITY = {1: 13, 2: 22}
FILL = "1110110000010001"            # 0xEC 0x11, repeated


def _fixed(size):
    """{(row, col): bit} of every cell that never carries payload."""
    cells = {}
    for r0, c0 in ((0, 0), (0, size - 7), (size - 7, 0)):
        for r in range(-1, 8):                       # with the white separator ring
            for c in range(-1, 8):
                if not (0 <= r0 + r < size and 0 <= c0 + c < size):
                    continue
                ring = max(abs(r - 3), abs(c - 3))   # 0..4, 4 = separator
                cells[r0 + r, c0 + c] = 1 if ring in (0, 1, 3) else 0
    for k in range(8, size - 8):
        cells[6, k] = cells[k, 6] = 1 - k % 2
    if size == 25:
        for r in range(-2, 3):
            for c in range(-2, 3):
                cells[18 + r, 18 + c] = 1 if max(abs(r), abs(c)) != 1 else 0
    return cells


def _order(size):
    """Payload cells in filling order: column pairs (right, left) from the right
    edge, first pair upwards, direction flips per pair; column 6 belongs to no pair.
    A row of a pair is used only if BOTH its cells are free (unlike real QR codes,
    this leaves 15 cells of column 8 - and five of column 15 in the 25x25 code -
    unused: they stay 0)."""
    fixed = _fixed(size)
    cells, up, col = [], True, size - 1
    while col > 0:
        if col == 6:
            col -= 1
        for r in (range(size - 1, -1, -1) if up else range(size)):
            if (r, col) not in fixed and (r, col - 1) not in fixed:
                cells += [(r, col), (r, col - 1)]
        up = not up
        col -= 2
    return cells


FIXED = {s: _fixed(s) for s in (21, 25)}
ORDER = {s: _order(s) for s in (21, 25)}
assert len(ORDER[21]) == 224 and len(ORDER[25]) == 370


def logistic_bits(n):
    """n key bits: x0 = 0.1, r = 4, one byte floor(255 x) per step, LSB first."""
    out, x = [], 0.1
    while len(out) < n:
        v = int(x * 255)
        out.extend((v >> k) & 1 for k in range(8))
        x = 4.0 * x * (1.0 - x)
    return out[:n]


def payload_bits(data):
    bits = format(len(data), "08b")
    for b in data:
        bits += format(b, "08b") + "0000000" + str(bin(b).count("1") & 1)
    return bits


def qr_matrix(msg):
    """Unencrypted square of bits, or None if the message does not fit."""
    data = msg.encode("utf-8") if isinstance(msg, str) else bytes(msg)
    if len(data) > CAPACITY[2]:
        return None
    size = 21 if len(data) <= CAPACITY[1] else 25
    bits = payload_bits(data)
    m = [[0] * size for _ in range(size)]
    for (r, c), v in FIXED[size].items():
        m[r][c] = v
    for k, (r, c) in enumerate(ORDER[size]):
        bit = bits[k] if k < len(bits) else FILL[(k - len(bits)) % 16]
        m[r][c] = int(bit)
    return m


def to_hex(bits):
    """32 bits per word, first bit highest; no leading zeros; short last word."""
    out = ""
    for i in range(0, len(bits), 32):
        v = 0
        for b in bits[i:i + 32]:
            v = v * 2 + b
        out += "0x%x" % v
    return out


def from_hex(text, nbits):
    if not re.fullmatch(r"(0x[0-9a-fA-F]+)+", text):
        raise ValueError("not a row of hex words")
    words = text.split("0x")[1:]
    if len(words) != (nbits + 31) // 32:
        raise ValueError("%d words" % len(words))
    bits = []
    for i, w in enumerate(words):
        width = min(32, nbits - 32 * i)
        v = int(w, 16)
        if v >> width:
            raise ValueError("word too wide")
        bits.extend((v >> (width - 1 - k)) & 1 for k in range(width))
    return bits


def encrypt(m):
    flat = [v for row in m for v in row]
    return [a ^ b for a, b in zip(flat, logistic_bits(len(flat)))]


def qr_encode(msg, encrypted=True):
    m = qr_matrix(msg)
    if m is None:
        return None
    return to_hex(encrypt(m) if encrypted else [v for row in m for v in row])


def rotate(m, quarter_turns):
    """Clockwise."""
    for _ in range(quarter_turns % 4):
        m = [list(r) for r in zip(*m[::-1])]
    return m


_FINDER = [[1 if max(abs(r - 3), abs(c - 3)) in (0, 1, 3) else 0 for c in range(7)]
           for r in range(7)]


def _is_finder(m, r0, c0):
    n = len(m)
    if not (0 <= r0 <= n - 7 and 0 <= c0 <= n - 7):
        return False
    return all(m[r0 + r][c0:c0 + 7] == _FINDER[r] for r in range(7))


def find_codes(grid):
    """Upright square matrices inside the 32x32 grid that three finders say may be a code."""
    n = len(grid)
    spots = {(r, c) for r in range(n - 6) for c in range(n - 6) if _is_finder(grid, r, c)}
    for size in (21, 25):
        step = size - 7
        for r in range(n - size + 1):
            for c in range(n - size + 1):
                corners = [(r, c) in spots, (r, c + step) in spots,
                           (r + step, c + step) in spots, (r + step, c) in spots]
                if sum(corners) < 3:
                    continue
                m = [row[c:c + size] for row in grid[r:r + size]]
                # With four finders any corner may be the one that is not one by intention.
                for gap in range(4):                 # 0 TL, 1 TR, 2 BR, 3 BL
                    if not corners[gap] or all(corners):
                        yield rotate(m, (2 - gap) % 4)


def read_code(m):
    bits = [m[r][c] for r, c in ORDER[len(m)]]

    def byte(k):
        return int("".join(map(str, bits[8 * k:8 * k + 8])), 2)

    n = byte(0)
    if 8 + 16 * n > len(bits):
        return None
    return bytes(byte(1 + 2 * k) for k in range(n))


def qr_decode(hexs):
    try:
        flat = from_hex(hexs, 1024)
    except ValueError:
        return None
    flat = [a ^ b for a, b in zip(flat, logistic_bits(1024))]
    for m in find_codes([flat[32 * r:32 * r + 32] for r in range(32)]):
        data = read_code(m)
        # The square must be bit for bit what encoding the message gives.
        if data is not None and qr_matrix(data) == m:
            return data
    return None


def gen_qr_decode(seed, msg, rotation=None, offset=None, noise=0.5):
    """Hex of a 32x32 grid: random noise with the (unencrypted) code of `msg`
    turned clockwise by rotation degrees at offset (row, col), then encrypted as
    a whole."""
    rng = random.Random(seed)
    m = qr_matrix(msg)
    if m is None:
        raise ValueError("message too long")
    if rotation is None:
        rotation = rng.choice((0, 90, 180, 270))
    m = rotate(m, rotation // 90)
    room = 32 - len(m)
    r0, c0 = offset if offset is not None else (rng.randint(0, room), rng.randint(0, room))
    g = [[1 if rng.random() < noise else 0 for _ in range(32)] for _ in range(32)]
    for r, row in enumerate(m):
        g[r0 + r][c0:c0 + len(m)] = row
    return to_hex(encrypt(g))


# --------------------------------------------------------------------------
# /qrcode as an endpoint; the token itself comes from the auth service
# --------------------------------------------------------------------------
def qrcode(kind, data, timestamp=None, auth=None, team=TEAM, aws=AWS):
    head = "%s,%s\n" % (team, aws)
    if kind == "encode":
        out = qr_encode(data)
        return head + ("INVALID" if out is None else out)
    if kind == "decode":
        msg = qr_decode(data)
        if msg is None:
            return head + "INVALID"
        text = msg.decode("utf-8", "replace")
        return head + (text if timestamp is None else auth(team, int(timestamp), text))
    return head + "INVALID"


# --------------------------------------------------------------------------
def selftest():
    n = 0
    for seed in range(60):
        rng = random.Random(seed)
        blocks, per = rng.randint(2, 6), rng.randint(1, 4)
        cc = gen_chain(seed, blocks, per, new_txs=rng.randint(0, 4))
        why = reason(cc)
        assert why is None, (seed, why)
        out = unpack(blockchain(cc).split("\n", 1)[1])
        # the answer must itself be a valid chain
        back = dict(out, new_target="1", new_tx=[])
        whyb = reason(pack(back))
        new = out["chain"][-1]["all_tx"]
        if len(new) < 2 or int(new[-2]["time"]) < int(new[-1]["time"]):
            assert whyb is None, (seed, whyb)
        for kind in MUTATIONS:
            try:
                bad = mutate(cc, kind, seed)
            except ValueError:
                continue
            assert reason(bad) is not None, (seed, kind)
            assert blockchain(bad).endswith("\nINVALID")
            n += 1
    q = 0
    for seed in range(200):
        rng = random.Random(seed)
        msg = "".join(chr(rng.randint(32, 126)) for _ in range(rng.randint(0, 22)))
        for rot in (0, 90, 180, 270):
            assert qr_decode(gen_qr_decode(seed, msg, rot)) == msg.encode(), (seed, msg, rot)
            q += 1
    for off in ((0, 0), (0, 7), (7, 0), (7, 7)):
        for rot in (0, 90, 180, 270):
            assert qr_decode(gen_qr_decode(1, "x" * 22, rot, off)) == b"x" * 22
    print("selftest ok: %d mutations, %d decodes" % (n, q))


if __name__ == "__main__":
    import sys
    if len(sys.argv) == 3 and sys.argv[1] == "blockchain":
        print(blockchain(sys.argv[2]))
    elif len(sys.argv) == 3 and sys.argv[1] == "encode":
        print(qr_encode(sys.argv[2]))
    elif len(sys.argv) == 3 and sys.argv[1] == "decode":
        print(qr_decode(sys.argv[2]))
    elif len(sys.argv) == 4 and sys.argv[1] == "gen-blockchain":
        # one "cc<TAB>expected body" per line; every tenth one is INVALID
        for k in range(int(sys.argv[2])):
            cc = gen_like_course("%s/%d" % (sys.argv[3], k))
            if k % 10 == 9:
                kinds = ["overdraw", "block_id_jump", "negative_amt", "negative_fee",
                         "hash_over_target", "time_backwards", "reward_missing"]
                cc = mutate(cc, kinds[k // 10 % len(kinds)], k)
            print(cc + "\t" + blockchain(cc).replace("\n", "\\n"))
    elif len(sys.argv) == 4 and sys.argv[1] == "gen-qr":
        # "encode<TAB>message<TAB>hex" and "decode<TAB>hex<TAB>message", alternating
        rng = random.Random("qr/%s" % sys.argv[3])
        abc = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        for k in range(int(sys.argv[2])):
            m = "".join(rng.choice(abc) for _ in range(rng.choice((6, 6, 6, rng.randint(1, 22)))))
            if k % 2 == 0:
                print("encode\t%s\t%s" % (m, qr_encode(m)))
            else:
                print("decode\t%s\t%s" % (gen_qr_decode(rng.random(), m), m))
    else:
        selftest()
