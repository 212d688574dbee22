#!/usr/bin/env python3
"""Requests for the four protocol endpoints and the answers the oracle gives, one JSON object per line.

    cases.py COUNT SEED KEYHEX

  name     what was done to make it
  method   GET, HEAD or POST
  target   the request target; every character is one byte
  body     the body of a POST, the same way; absent for others
  chunked  whether the body is to be sent in chunks
  status   the answer's status
  compare  how its body is compared with `expect`:
             exact   byte for byte
             chain   first line exact, the second one unpacked and parsed
             length  a HEAD: only Content-Length, which must be that of `expect`
             refusal a JSON object whose `message` says something else than SUCCESS
  expect   the expected body, the same way

The same seed makes the same requests. A request that no rule decides is not made.
"""
import base64
import hashlib
import hmac
import json
import random
import sys
import zlib

import protocol_oracle as oracle

TEAM, AWS = oracle.TEAM, oracle.AWS
UNRESERVED = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def token(key, team, timestamp, message):
    text = "%s|%d|%s" % (team, timestamp, message)
    return hmac.new(key, text.encode("utf-8"), hashlib.sha256).hexdigest()


def percent(data, rng, share):
    """`data` as a query value: what must be encoded is, and a share of the rest."""
    out = []
    for b in data:
        if b == 0x20 and rng.random() < 0.5:
            out.append("+")
        elif b in UNRESERVED and rng.random() >= share:
            out.append(chr(b))
        else:
            out.append(("%%%02X" if rng.random() < 0.5 else "%%%02x") % b)
    return "".join(out)


def query(pairs, rng):
    """A query string, sometimes with parameters nobody asked for around the others."""
    noise = ["", "x", "=", "=v", "x=1", "%63c=zz", "Data=q", "TYPE=decode", "n=%zz"]
    pieces = ["%s=%s" % pair for pair in pairs]
    rng.shuffle(pieces)
    for _ in range(rng.choice((0, 0, 0, 1, 3))):
        pieces.insert(rng.randint(0, len(pieces)), rng.choice(noise))
    return "&".join(pieces)


# ------------------------------------------------------------------ /blockchain

def pack_as(text, rng):
    """JSON text to cc, in one of the ways a client may do it."""
    level = rng.choice((0, 1, 6, 9))
    strategy = rng.choice((zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE))
    deflate = zlib.compressobj(level, zlib.DEFLATED, rng.choice((9, 12, 15)), 9, strategy)
    stream = b""
    for piece in (text[:len(text) // 3], text[len(text) // 3:]):
        stream += deflate.compress(piece)
        if rng.random() < 0.3:
            stream += deflate.flush(rng.choice((zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH)))
    stream += deflate.flush()
    if rng.random() < 0.2:
        stream += bytes(rng.randrange(256) for _ in range(rng.randint(1, 9)))
    cc = base64.urlsafe_b64encode(stream).decode()
    if rng.random() < 0.4:
        cc = cc.replace("-", "+").replace("_", "/")
    padding = rng.randrange(4)
    if padding == 0:
        cc = cc.rstrip("=")
    elif padding == 1:
        cc = cc.replace("=", rng.choice(("%3D", "%3d")))
    return cc


def json_string(text, rng):
    """A JSON string; some characters as escapes."""
    if rng.random() < 0.8:
        return json.dumps(text, ensure_ascii=rng.random() < 0.5)
    return '"%s"' % "".join("\\u%04x" % ord(c) if ord(c) < 0xD800 else c for c in text)


def json_text(value, rng, odd):
    """`value` as JSON; if `odd`, with other key orders, whitespace, escapes and repeated keys."""
    if not odd:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    def space():
        return "".join(rng.choice(" \t\r\n") for _ in range(rng.choice((0, 0, 0, 1, 3))))

    def write(v):
        if isinstance(v, dict):
            members = [(k, write(x)) for k, x in v.items()]
            rng.shuffle(members)
            if members and rng.random() < 0.2:  # an earlier value of a repeated key does not count
                members.insert(0, (members[-1][0], rng.choice(("null", "1", '"x"', "[]", "-1.5e3"))))
            inner = ",".join("%s%s%s:%s%s" % (space(), json_string(k, rng), space(), x, space())
                             for k, x in members)
            return space() + "{" + (inner or space()) + "}" + space()
        if isinstance(v, list):
            return "[" + (",".join(space() + write(x) + space() for x in v) or space()) + "]"
        if isinstance(v, str):
            return json_string(v, rng)
        return json.dumps(v)

    return write(value)


ODDITIES = [None, True, False, 0, -0.0, -1, 1, 1.0, 1e3, 2 ** 63 - 1, 2 ** 63, 2 ** 64, -(2 ** 63), 10 ** 30,
            "", "0", "00", "1", "-1", "+1", " 1", "01", "1.0", "0x1", "00000000", "ffffffff", "FFFFFFFF", "g",
            "z" * 9, "x" * 3000, "\u00e9", "\U0001f600", "\x00", "\x7f", "a\"b\\c", [], [[]], [None], {}, {"a": 1}]


def deform(value, rng):
    """Changes one place of a request, whatever it means there."""
    places = []

    def walk(v):
        keys = list(v) if isinstance(v, dict) else range(len(v))
        for k in keys:
            places.append((v, k))
            if isinstance(v[k], (dict, list)):
                walk(v[k])

    walk(value)
    holder, key = rng.choice(places)
    how = rng.randrange(7)
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, dict):
        holder[rng.choice(("x", "Hash", "", "tim\u00e9", "sig", "fee", "recv", "id"))] = rng.choice(ODDITIES)
    elif how == 2 and isinstance(holder, list):
        holder.insert(key, json.loads(json.dumps(holder[key])))
    elif how == 3 and isinstance(holder[key], int):
        holder[key] = holder[key] + rng.choice((-1, 1, 2 ** 32, 2 ** 62))
    elif how == 4 and isinstance(holder[key], str) and holder[key]:
        at = rng.randrange(len(holder[key]))
        holder[key] = holder[key][:at] + rng.choice("0123456789abcdefF -+") + holder[key][at + 1:]
    elif how == 5 and isinstance(holder[key], list) and len(holder[key]) > 1:
        i, j = rng.sample(range(len(holder[key])), 2)
        holder[key][i], holder[key][j] = holder[key][j], holder[key][i]
    else:
        holder[key] = rng.choice(ODDITIES)


def corrupt(cc, rng):
    """Changes a few characters of the text."""
    cc = list(cc)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(cc))
        how = rng.randrange(4)
        if how == 0:
            cc[at] = rng.choice("ABCabc019-_+/=")
        elif how == 1:
            cc[at] = rng.choice("%*!~.,;:@ $").replace(" ", "%20")
        elif how == 2:
            del cc[at]
        else:
            cc.insert(at, rng.choice("AZaz09-_=%"))
        if not cc:
            return "A"
    return "".join(cc)


def percent_decoded(text):
    """A `%` without two hex digits stays as it is; a `+` is base64's."""
    out, i = bytearray(), 0
    raw = text.encode("latin-1")
    while i < len(raw):
        pair = raw[i + 1:i + 3]
        if raw[i] == 0x25 and len(pair) == 2 and all(c in b"0123456789abcdefABCDEF" for c in pair):
            out.append(int(pair, 16))
            i += 3
        else:
            out.append(raw[i])
            i += 1
    return out.decode("latin-1")


def blockchain_case(k, seed):
    rng = random.Random("%s/%d" % (seed, k))
    request = oracle.gen_request("%s/%d" % (seed, k), rng.randint(1, 4), rng.randint(1, 2),
                                 new_txs=rng.choice((0, 1, 1, 2, 3)))
    what = rng.choice(("valid",) * 8 + ("written oddly",) * 5 + ("deformed",) * 6 + ("corrupted",) * 3
                      + ("mutated",) * 8 + ("target",) * 2)
    if what == "mutated":
        what = rng.choice(oracle.MUTATIONS)
        try:
            cc = oracle.mutate(request, what, k)
        except ValueError:                      # nothing there to mutate
            what, cc = "valid", oracle.pack(request)
    else:
        if what == "deformed":
            deform(request, rng)
        elif what == "target":
            request["new_target"] = rng.choice(("", "0", "00", "00000000", "000000001", "1", "f", "g", "~", "G", "001",
                                                "0001", "ffffffff", "00000000ff", "\u00e9", "7fffffff0"))
        text = json_text(request, rng, what == "written oddly" or rng.random() < 0.1)
        cc = pack_as(text.encode("utf-8"), rng)
        if what == "corrupted":
            cc = corrupt(cc, rng)
    if rng.random() < 0.1:
        cc = percent(percent_decoded(cc).encode("latin-1"), rng, rng.choice((0.0, 0.2, 1.0)))
        cc = cc.replace("+", "%20")             # there are no spaces to be a plus
    body = oracle.blockchain(percent_decoded(cc))
    case = {"name": "blockchain: " + what, "status": 200, "compare": "chain", "expect": body}
    how = rng.randrange(10)
    if how < 6:
        pairs = [("cc", cc)]
        text = query(pairs, rng)
        if rng.random() < 0.1:
            text += "&cc=later"                 # the first one counts
        case.update(method="GET", target="/blockchain?" + text)
    elif how < 9:
        case.update(method="POST", target="/blockchain", body=cc, chunked=how == 6)
    else:
        case.update(method="HEAD", target="/blockchain?cc=" + cc, compare="length" if "INVALID" in body else "head")
    return case


# ------------------------------------------------------------------ /qrcode

def message(rng):
    alphabet = rng.choice(("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
                           "".join(map(chr, range(32, 127))), "aB1 \n\t\r\x00\x7f&=+%#?\"",
                           "\u00e9\u00df\u4e2d\U0001f600 x"))
    return "".join(rng.choice(alphabet) for _ in range(rng.choice((0, 1, 5, 6, 6, 6, 12, 13, 14, 21, 22, 23, 24, 40))))


def encode_case(rng):
    data = message(rng).encode("utf-8")
    if rng.random() < 0.15:                     # bytes that are no text
        data = bytes(rng.randrange(256) for _ in range(rng.randint(0, 24)))
    raw = percent(data, rng, rng.choice((0.0, 0.3, 1.0)))
    if rng.random() < 0.15:                     # a percent sign that encodes nothing stands for itself
        stray = rng.choice(("%", "%%", "%4", "%zz", "%g0", "%0g", "%+"))
        raw, data = raw + stray, data + stray.replace("+", " ").encode()
    answer = oracle.qr_encode(data)
    pairs = [("type", rng.choice(("encode", "encode", "%65ncode"))), ("data", raw)]
    return "encode", pairs, "INVALID" if answer is None else answer


def damaged(grid, rng):
    """A grid with something wrong, as the text of its words."""
    words = grid.split("0x")[1:]
    how = rng.randrange(9)
    if how < 3:                                 # a flipped cell
        at = rng.randrange(32)
        words[at] = "%x" % (int(words[at], 16) ^ 1 << rng.randrange(32))
    elif how == 3:
        del words[rng.randrange(32)]
    elif how == 4:
        words.append("0")
    elif how == 5:
        words[rng.randrange(32)] = "1%08x" % rng.getrandbits(32)
    elif how == 6:
        words[rng.randrange(32)] = rng.choice(("", "g", "0x1", "-1", "1 "))
    elif how == 7:
        words = ["%x" % rng.getrandbits(32) for _ in range(32)]
    else:
        return rng.choice(("", "0x", "x" * 100, "0x0" * 31, "0x0" * 32, "0X1" * 32, "0x" + "f" * 256))
    return "".join("0x" + word for word in words)


def decode_case(rng, key):
    text = message(rng)
    while len(text.encode("utf-8")) > 22:
        text = text[:-1]
    grid = oracle.gen_qr_decode(rng.random(), text)
    if rng.random() < 0.3:
        grid = damaged(grid, rng)
    elif rng.random() < 0.2:                    # digits of either case, leading zeros
        grid = "".join("0x" + (w.upper() if rng.random() < 0.5 else w.zfill(8)) for w in grid.split("0x")[1:])
    pairs = [("type", "decode"), ("data", percent(grid.encode(), rng, rng.choice((0.0, 0.0, 0.5))))]
    found = oracle.qr_decode(grid)
    answer = "INVALID" if found is None else found.decode("utf-8")
    if rng.random() < 0.7:
        stamp = rng.choice((1706567290739, 0, -1, 2 ** 63 - 1, -(2 ** 63), rng.randint(0, 2 ** 62)))
        if found is not None:
            answer = token(key, TEAM, stamp, answer)
        pairs.append(("timestamp", str(stamp)))
        if rng.random() < 0.1:
            pairs[-1] = ("timestamp", rng.choice(("", "x", "1.0", "1e3", "9223372036854775808", "+1", " 1", "1 ", "--1")
                                                 ).replace(" ", "%20").replace("+", "%2B"))
            answer = "INVALID"
    return "decode", pairs, answer


def qrcode_case(k, seed, key):
    rng = random.Random("%s/%d" % (seed, k))
    what, pairs, answer = encode_case(rng) if rng.random() < 0.5 else decode_case(rng, key)
    broken = rng.random()
    if broken < 0.03:
        what, answer = "no type", "INVALID"
        pairs = [pair for pair in pairs if pair[0] != "type"]
    elif broken < 0.06:
        what, answer = "no data", "INVALID"
        pairs = [pair for pair in pairs if pair[0] != "data"]
    elif broken < 0.09:
        what, answer = "unknown type", "INVALID"
        pairs = [(n, rng.choice(("", "Encode", "decode2", "both"))) if n == "type" else (n, v) for n, v in pairs]
    text = query(pairs, rng)
    if rng.random() < 0.1:
        text += "".join("&%s=later" % name for name, _ in pairs)
    body = "%s,%s\n%s" % (TEAM, AWS, answer)
    body = body.encode("utf-8").decode("latin-1")
    head = rng.random() < 0.1
    return {"name": "qrcode: " + what, "method": "HEAD" if head else "GET", "target": "/qrcode?" + text,
            "status": 200, "compare": "length" if head else "exact", "expect": body}


# ------------------------------------------------------------------ /rest_auth, /rest_verify

def auth_case(k, seed, key):
    rng = random.Random("%s/%d" % (seed, k))
    team, stamp, text = message(rng), rng.randint(-(2 ** 63), 2 ** 63 - 1), message(rng)
    fields = {"team_name": team, "timestamp": stamp, "decoded_qrcode": text}
    genuine = token(key, team, stamp, text)
    verify = rng.random() < 0.5
    case = {"method": "POST", "target": "/rest_verify" if verify else "/rest_auth", "chunked": rng.random() < 0.3,
            "status": 200, "compare": "exact"}
    if verify:
        shown = rng.choice((genuine, genuine, genuine[:-1] + ("0" if genuine[-1] != "0" else "1"), genuine[:-1],
                            genuine + "0", "", token(key, team, stamp ^ 1, text), "x" * 64))
        fields["token"] = shown
        case["expect"] = '{"message":"SUCCESS","valid":%s}' % ("true" if shown == genuine else "false")
    else:
        case["expect"] = '{"message":"SUCCESS","token":"%s"}' % genuine
    case["name"] = case["target"][1:]
    body = json_text(fields, rng, rng.random() < 0.5)
    if rng.random() < 0.3:
        case.update(status=400, compare="refusal", expect="", name=case["name"] + ": refused")
        name = rng.choice(list(fields))
        how = rng.randrange(4)
        if how == 0:
            del fields[name]
        elif how == 1:
            fields[name] = rng.choice((None, 1.5, True, [], {}, "1" if name == "timestamp" else 1, 2 ** 63, 1e3))
            if name != "timestamp" and isinstance(fields[name], str):
                fields[name] = 7
        body = json_text(fields, rng, False)
        if how == 2:
            body = body[:rng.randint(0, len(body) - 1)]
        elif how == 3:
            body = rng.choice(("[]", "1", '"x"', "null", "nul", "{", "{}}", body + "x", "\u00e9", "[" * 5000))
    case["body"] = body.encode("utf-8").decode("latin-1")
    return case


def main():
    count, seed, key = int(sys.argv[1]), sys.argv[2], bytes.fromhex(sys.argv[3])
    for k in range(count):
        kind = k % 10
        if kind < 5:
            case = blockchain_case(k, seed)
        elif kind < 9:
            case = qrcode_case(k, seed, key)
        else:
            case = auth_case(k, seed, key)
        sys.stdout.write(json.dumps(case, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
