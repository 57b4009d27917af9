#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Lists a volume in file://DIR and writes a device's content to a file. Written from docs/format.md alone.
usage: reader.py DIR (--key-file FILE | --passphrase TEXT) [DEVICE OUTFILE | --journal FILE]"""
import hashlib, os, struct, sys
import nacl.bindings as nb, nacl.pwhash, zstandard

root, how, secret = sys.argv[1:4]
U = struct.unpack_from
mac = lambda k, m: hashlib.blake2b(m, key=k, digest_size=32).digest()
H = lambda m, n: hashlib.blake2b(m, digest_size=n).digest()
kdf = lambda context: mac(master, b"zerofs1 " + context + b"\0" + uuid)
unbox = lambda k, aad, b: nb.crypto_aead_xchacha20poly1305_ietf_decrypt(b[40:] + b[24:40], aad, b[:24], k)
aead = lambda k, nonce, aad, b: nb.crypto_aead_chacha20poly1305_ietf_decrypt(b[16:] + b[:16], aad, nonce, k)
text = lambda b: b.split(b"\0")[0].decode()

def get(name, kind):
    b = open(f"{root}/{name}", "rb").read()
    assert b[:8] == b"ZEROFS\r\n" and U("<HHIII", b, 8)[:2] == (1, kind) and U("<I", b, 16) == (0,), name
    assert kind == 5 or b[24:40] == uuid, name
    return b

def numbers(b):                         # var() and zig() over bytes, and where they stand
    pos = [0]
    def byte(): pos[0] += 1; return b[pos[0] - 1]
    def var():
        v = s = 0
        while True:
            c = byte(); v |= (c & 127) << s; s += 7
            if c < 128: return v
    def zig(): v = var(); return (v >> 1) ^ -(v & 1)
    return byte, var, zig, pos

seg_name = lambda gc, seq: f"{'gc' if gc else 'seg'}/{seq >> 12:013x}/{seq & 4095:03x}"

def read_frame(b, off, stored, seg, dev, lba, blocks, codec):   # -> the blocks
    typ, seq, epoch, key = seg
    magic, c, _, no, raw, length = U("<HBBIII", b, off)
    assert (magic, c, raw) == (0x667a, codec, blocks * 4096) and 32 + -(-length // 16) * 16 == stored
    aad = b"zerofsFR" + struct.pack("<HBBI16sQQQIIII", 1, typ, codec, no, uuid, seq, epoch, lba, dev, blocks, raw, length)
    p = aead(key, struct.pack("<I8x", no), aad, b[off + 16:off + 32 + length])
    return p if codec == 0 else zstandard.ZstdDecompressor().decompress(p, max_output_size=raw)

def open_segment(name, b):              # -> header fields, key, hash
    typ, gen, epoch, seq, _, salt, first, last, resume = U("<B3xIQQ16s32sQQQ", b, 40)
    assert mac(kdf(b"segment-header"), b[:256]) == b[256:288] and name == seg_name(typ == 2, seq), name
    key = None if typ == 3 else mac(data_keys[gen], salt + struct.pack("<QQ", seq, epoch))
    return typ, seq, epoch, key, first, last, resume, H(b[:288], 16)

def open_table(b, typ, seq, epoch, key, first, last):   # -> frames, entries
    tlen, nf, ne = U("<III", b, 168)
    assert H(b[288:288 + tlen], 16) == b[208:224]
    aad = b"zerofsTB" + struct.pack("<HBBI16sQQQQII", 1, typ, 0, nf, uuid, seq, epoch, first, last, ne, tlen - 16)
    t = aead(key, bytes([0, 0, 0, 0, 1]) + bytes(7), aad, b[288:288 + tlen])
    byte, var, zig, pos = numbers(t)
    frames, entries, end, off, wno, frame = [], [], 0, 288 + tlen, first, 0
    for _ in range(nf):
        codec, dev, lba, blocks, stored = byte(), var(), end + zig(), var(), var() * 16
        frames.append((off, stored, dev, lba, blocks, codec)); end = lba + blocks; off += stored
    end = 0
    for _ in range(ne):
        kind, wno = byte(), wno + zig()
        if kind == 0:
            frame += zig(); block, n = var(), var()
            entries.append((frames[frame][2], frames[frame][3] + block, n, frames[frame], block))
        elif kind in (1, 2):
            dev, lba = var(), end + zig(); n = var(); end = lba + n
            entries.append((dev, lba, n, None, 0))
        else:
            assert kind == 5, f"entry of kind {kind}"; var()
    assert pos[0] == len(t) and off + 16 == len(b)
    return entries

# keys
name = "keys/" + max(os.listdir(f"{root}/keys"))
b = get(name, 5); uuid = b[24:40]; master = None
nslots, ngens = U("<II", b, 124)
for i in range(nslots):
    s = b[136 + 152 * i:][:152]
    typ, sid, ops, mem, salt = s[0], *U("<I", s, 4), *U("<QQ", s, 40), s[64:80]
    if typ == 1 and how == "--passphrase":
        kek = nacl.pwhash.argon2id.kdf(32, secret.encode(), salt, opslimit=ops, memlimit=mem)
    elif typ == 2 and how == "--key-file":
        kek = hashlib.blake2b(b"zerofs keyfile\0" + open(secret, "rb").read(), key=salt, digest_size=32).digest()
    else: continue
    try: master = unbox(kek, b"zerofsSL" + uuid + struct.pack("<IIQQ", typ, sid, ops, mem) + salt, s[80:])
    except nacl.exceptions.CryptoError: continue
if not master: sys.exit("reader.py: no slot takes this secret")
assert mac(kdf(b"keys-mac"), b[:-40]) == b[-40:-8], name
data_keys = {}
for i in range(ngens):
    g = b[136 + 152 * nslots + 88 * i:][:88]
    data_keys[U("<I", g)[0]] = unbox(kdf(b"keys-wrap"), b"zerofsKG" + uuid + g[:4] + bytes(4), g[16:])
print(f"volume {text(b[56:120])} {uuid.hex()}, keys version {U('<Q', b, 40)[0]}")

# head, manifest, runs: the image
name = min(os.listdir(f"{root}/head")); b = get("head/" + name, 2)
assert ~int(name, 16) & (1 << 64) - 1 == U("<Q", b, 40)[0]
h = unbox(kdf(b"head"), b[:48], b[48:])
epoch, window, flags, keysv, mver, mid, replay, last = *U("<Q", h, 8), *U("<IIQQQ", h, 32), *U("<Q", h, 96), *U("<Q", h, 120)
chain, floor = h[104:120], U("<Q", h, 128)[0]
assert floor <= replay
print(f"head {U('<Q', h)[0]}, epoch {epoch}, {'clean' if flags & 1 else 'in use'}, manifest {mver}, wno {last}, replay from {replay}")
b = get(f"manifest/{mver:016x}/{mid:016x}", 3); assert H(b, 32) == h[64:96]
m = unbox(kdf(b"manifest"), b[:56], b[56:]); pos = 96; devs, runs = {}, []
while pos < len(m):
    typ, flags, n = U("<HHI", m, pos); s = m[pos + 8:pos + 8 + n]; pos += 8 + n
    if typ == 1: devs = {U("<I", s, i)[0]: (text(s[i + 8:i + 72]), U("<Q", s, i + 72)[0]) for i in range(0, n, 96)}
    elif typ == 2: runs = [s[i:i + 128] for i in range(0, n, 128)]
    else: assert not flags & 1, f"section {typ}"
image, segs, deleted = {}, {}, 0    # (device, LBA) -> (object's name, offset, stored, frame's first LBA, blocks, codec, block)
for r in runs:
    rver, rid, kind, _, _, ilen, _ = U("<QQBBHIQ", r); ioff, = U("<Q", r, 64)
    b = get(f"run/{rver:016x}/{rid:016x}", 4); assert H(b, 32) == r[32:64]
    block = lambda no, n, off, l: unbox(kdf(b"run"), b[:64] + struct.pack("<II", no, n), b[off:off + l])
    for no, (off, l, n) in enumerate(struct.iter_unpack("<QII16x", block(0xffffffff, (ilen - 40) // 32, ioff, ilen))):
        t = block(no, n, off, l); byte, var, zig, pos = numbers(t)
        dev = end = birth = seq = fend = 0
        for i in range(n):
            if kind == 2:
                gc, flags, q, ep, gen = U("<B3xIQQI", t, 144 * i)
                key = mac(data_keys[gen], t[144 * i + 88:144 * i + 120] + struct.pack("<QQ", q, ep))
                segs[seg_name(gc, q)] = (2 if gc else 1, q, ep, key)
                if flags & 1:           # its object may be gone
                    assert U("<I", t, 144 * i + 40)[0] == 0 and q < floor, f"segment {q}: deleted"
                    del segs[seg_name(gc, q)]
                    deleted += 1
                continue
            f, d = byte(), var()
            dev, end = dev + d, 0 if d else end
            lba, blocks, birth = end + var(), var(), birth + zig(); end = lba + blocks
            if f & 1:
                for j in range(blocks): image.pop((dev, lba + j), None)
                continue
            seq += zig(); foff = fend + zig(); stored, at, fb = var() * 16, var(), var(); fend = foff + stored
            for j in range(blocks):
                image[dev, lba + j] = (seg_name(f >> 1 & 1, seq), foff, stored, lba - at, fb, f >> 4, at + j)

for place in image.values(): assert place[0] in segs, f"{place[0]}: needed, but not in the table"
print(f"{len(segs)} segments, {deleted} records of deleted ones, floor {floor}")

# the log behind it
while os.path.exists(f"{root}/{(name := seg_name(0, replay))}"):
    b = get(name, 1); typ, seq, ep, key, first, last, resume, hash_ = open_segment(name, b)
    assert b[192:208] == chain, f"{name}: chain"
    chain, replay = hash_, resume if typ == 3 else seq + 1
    print(f"  {name}: epoch {ep}, " + (f"fence, on at {resume}" if typ == 3 else f"wno {first} to {last}"))
    if typ == 3: continue
    segs[name] = (typ, seq, ep, key)
    for dev, lba, n, frame, at in open_table(b, typ, seq, ep, key, first, last):
        for j in range(n):
            if not frame: image.pop((dev, lba + j), None)
            else: image[dev, lba + j] = (name, frame[0], frame[1], frame[3], frame[4], frame[5], at + j)
for d, (dname, size) in devs.items():
    print(f"device {d} {dname}: {size} bytes, {sum(k[0] == d for k in image)} blocks with data")

def crc32c(b):
    c = 0xffffffff
    for x in b:
        c ^= x
        for _ in range(8): c = c >> 1 ^ (0x82f63b78 if c & 1 else 0)
    return c ^ 0xffffffff

def read_journal(j):                    # prints what is in it
    key, best = kdf(b"journal"), None
    for b in (j[:4096], j[4096:8192]):
        if not any(b): continue
        assert b[:12] == b"ZEROFS\r\n\1\0\x08\0" and b[24:40] == uuid, "superblock"
        assert mac(key, b[:4056]) == b[4056:4088] and crc32c(b[:4088]) == U("<I", b, 4088)[0], "superblock"
        if not best or U("<Q", b, 40) > U("<Q", best, 40): best = b
    gen, jid, size, off, length, pos, prev = U("<Q16sQQQQ16s", best, 40)
    print(f"journal {jid.hex()} of {text(best[152:216])}, generation {gen}, {'clean' if U('<I', best, 144)[0] & 1 else 'in use'}")
    while True:
        b = j[off + pos % length:]; h = b[:192]
        if len(h) < 192 or h[:8] != b"ZEROFS\r\n" or crc32c(h[:188]) != U("<I", h, 188)[0]: break
        typ, n = U("<B3xI", h, 40); at, epoch, first, last, flushed, _, nops, nblocks = U("<QQQQQQII", h, 64)
        if h[48:64] != jid or at != pos or h[128:144] != prev: break
        tlen, crc = U("<II", h, 176); b = b[:n if typ == 1 else 4096]
        assert tlen == 32 * nops + 16 * nblocks and crc32c(b[192:]) == crc, f"record {pos}"
        open_ = lambda i, aad, tag, c: nb.crypto_aead_xchacha20poly1305_ietf_decrypt(c + tag, aad, h[144:160] + struct.pack("<Q", i), key)
        t = open_(0, h[:160] + bytes(16) + h[176:188] + bytes(4), h[160:176], b[192:192 + tlen])
        if typ == 2: print(f"record {pos}: pad, {n} bytes")
        else: print(f"record {pos}: epoch {epoch}, wno {first} to {last}, flushed to {flushed}")
        i, data = 0, -(-(192 + tlen) // 4096) * 4096
        for wno, lba, dev, blocks, kind, flags in struct.iter_unpack("<QQIIBB6x", t[:32 * nops]):
            out = b""
            for k in range(blocks if kind == 1 else 0):
                aad = uuid + jid + struct.pack("<QIIQQ", pos, i, dev, lba + k, wno)
                out += open_(1 + i, aad, t[32 * nops + 16 * i:][:16], b[data + 4096 * i:][:4096]); i += 1
            what = ("write", "discard", "zeroes")[kind - 1]
            print(f"  {wno} {what}, device {dev}, LBA {lba}, {blocks} blocks" + (", keep" if flags & 1 else "") +
                  (" " + H(out, 16).hex()[:16] if out else ""))
        prev, pos = H(h, 16), pos + n

if len(sys.argv) > 4 and sys.argv[4] == "--journal":
    read_journal(open(sys.argv[5], "rb").read())
elif len(sys.argv) > 4:
    dev, cache = int(sys.argv[4]), {}
    with open(sys.argv[5], "wb") as out:
        out.truncate(devs[dev][1])
        for (d, lba), (name, off, stored, flba, fb, codec, at) in sorted(image.items()):
            if d != dev: continue
            if (name, off) not in cache:
                with open(f"{root}/{name}", "rb") as f:
                    f.seek(off); cache = {(name, off): read_frame(f.read(stored), 0, stored, segs[name], dev, flba, fb, codec)}
            out.seek(lba * 4096); out.write(cache[name, off][at * 4096:][:4096])
