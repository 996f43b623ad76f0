#!/usr/bin/env python3
"""Compares our disassembler with objdump over the code of ELF files.

usage: objdump.py DISASM-PROGRAM FILE...   (FILE may end in :16 or :32 for other code sizes)

Prints the instructions whose length differs, then, most frequent first, those whose text does, and
totals. Exit status 1 when a length differs. A manual tool: what the table leaves out on purpose
(EVEX, XOP) shows up here too.
"""
import collections
import re
import subprocess
import sys

PREFIXES = re.compile(r"^(?:(?:data16|addr32|addr16|rex(?:\.[WRXB]+)?|[cdefgs]s|bnd|notrack|xacquire|xrelease|repz|repnz|rep|lock) )+")


def instructions(path):
    """Address, bytes and objdump's text of every instruction."""
    out = subprocess.Popen(["objdump", "-d", "-w", "-M", "intel", path], stdout=subprocess.PIPE, text=True)
    for line in out.stdout:
        parts = line.rstrip("\n").split("\t")
        if len(parts) == 3 and parts[0].endswith(":"):
            yield int(parts[0][:-1], 16), parts[1].replace(" ", ""), parts[2]
    out.wait()


def normal(text):
    """One spelling for what both mean."""
    text = re.sub(r"\s*(?:#|<).*", "", text).strip()
    text = re.sub(r"\s+", " ", text)
    text = text.replace("*1+0x0]", "*1]").replace("+0x0]", "]").replace("+riz*1", "").replace("+eiz*1", "")
    text = re.sub(r"\bds:\[", "[", text)
    text = re.sub(r"(?<=[ ,:])([0-9a-f]+)$", lambda m: "0x" + m.group(1), text) if re.match(r"^(j|call|loop|xbegin)", text) else text
    text = re.sub(r"ip\+0x(ffffffff[89a-f][0-9a-f]{7})\]", lambda m: "ip-0x%x]" % (2**64 - int(m.group(1), 16)), text)
    text = text.replace("movabs", "mov")
    text = text.replace("OWORD PTR", "XMMWORD PTR")
    text = re.sub(r"^xchg (?:ax,ax|eax,eax|rax,rax)$", "nop", text)
    match = PREFIXES.match(text)
    kept = ""
    if match:
        kept = "".join(w + " " for w in match.group(0).split() if w in ("lock", "rep", "repz", "repnz"))
        text = text[match.end():]
        kept = kept.replace("repz", "rep")
    text = text.replace("*1]", "]")
    return kept + text


def main():
    program, bad, total = sys.argv[1], 0, 0
    shapes = collections.Counter()
    example = {}
    for path in sys.argv[2:]:
        listed = list(instructions(path))
        feed = "".join(f"{address:x} {code}\n" for address, code, _ in listed)
        ours = subprocess.run([program], input=feed, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
        for (address, code, text), line in zip(listed, ours):
            length, mine = line.split("\t")
            total += 1
            if "(bad)" in text and "(bad)" in mine:
                continue
            if int(length) != len(code) // 2 or "(bad)" in mine:
                bad += 1
                shape = ("LENGTH", text.split()[0], mine.split()[0] if mine else "")
            elif normal(text) != normal(mine):
                shape = ("TEXT", re.sub(r"\d", "", normal(text).split(",")[0].split("[")[0]), re.sub(r"\d", "", normal(mine).split(",")[0].split("[")[0]))
            else:
                continue
            shapes[shape] += 1
            example.setdefault(shape, f"{path} {address:x} {code}: \"{mine}\" ({length}), objdump \"{normal(text)}\"")
    for shape, count in shapes.most_common():
        print(count, shape[0], example[shape])
    print(f"{total} instructions, {bad} of another length, {sum(shapes.values()) - bad} of another text")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
