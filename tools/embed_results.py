"""Put the tables that the commands wrote into the pages that show them.

lsmplify evaluate ~/motion30 -o results
lsmplify ablate ~/store ~/motion30 -o runs/ablation && cp runs/ablation/ablation.* results/
python tools/embed_results.py
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {"evaluation": "README.md", "ablation": "docs/training.md"}

for block, page in PAGES.items():
    path = ROOT / page
    before, rest = path.read_text().split(f"<!-- {block}:begin -->")
    after = rest.split(f"<!-- {block}:end -->")[1]
    table = (ROOT / "results" / f"{block}.md").read_text().strip()
    path.write_text(f"{before}<!-- {block}:begin -->\n\n{table}\n\n<!-- {block}:end -->{after}")
    print(f"{page}: {block}")
