"""Put the tables that the commands wrote into the pages that show them.

lsmplify evaluate ~/motion30 --foreign THEIR_MOTIONS -o results
lsmplify ablate ~/store ~/motion30 -o runs/ablation && cp runs/ablation/ablation.* results/
lsmplify benchmark ~/motion30 --full -o results
python tools/embed_results.py
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {"summary": "README.md", "ablation": "docs/training.md", "benchmark": "README.md"}

for block, page in PAGES.items():
    path, source = ROOT / page, ROOT / "results" / f"{block}.md"
    begin, end = f"<!-- {block}:begin -->", f"<!-- {block}:end -->"
    text = path.read_text()
    if begin not in text or not source.is_file():
        print(f"{page}: no {block} ({'no such results' if begin in text else 'no place for it'})")
        continue
    before, rest = text.split(begin)
    path.write_text(f"{before}{begin}\n\n{source.read_text().strip()}\n\n{end}{rest.split(end)[1]}")
    print(f"{page}: {block}")
