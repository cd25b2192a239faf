"""How pages open and look: one style sheet, light and dark, from a phone to a desk."""

from collections.abc import Sequence

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""A page holds all that it shows: it forbids itself scripts and requests."""

STYLE = """
:root{color-scheme:light dark;--paper:#fbfaf8;--card:#fff;--ink:#22262b;--quiet:#66707b;
--line:#e4e2dd;--train:#4472a8;--held:#c26a1b;--warn:#b4402b;--warn-soft:#f8e9e4;
--note:#4b6a86;--note-soft:#e8eef4;--empty:#efede8}
@media (prefers-color-scheme:dark){:root{--paper:#16181b;--card:#1e2125;--ink:#e4e6e8;
--quiet:#98a1ab;--line:#31353b;--train:#79a6dc;--held:#efa65c;--warn:#f08b74;
--warn-soft:#3a2520;--note:#9dbbd8;--note-soft:#212d38;--empty:#2a2e33}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);line-height:1.5;font-size:15px;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","PingFang SC",
"Microsoft YaHei","Noto Sans CJK SC",sans-serif;-webkit-text-size-adjust:100%}
main,header,footer{max-width:1080px;margin:0 auto;padding:0 16px}
header{padding-top:28px}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 4px;font-weight:650;letter-spacing:-.01em}
h2{font-size:1.15rem;margin:40px 0 12px;font-weight:650}
h3{font-size:1rem;margin:0;font-weight:600}
p{margin:4px 0}
.quiet,figcaption,footer{color:var(--quiet);font-size:.87rem}
.data{overflow-wrap:anywhere;unicode-bidi:isolate}
code{font-family:ui-monospace,"SF Mono",Menlo,Consolas,monospace;font-size:.85em}
.tiles{display:grid;gap:10px;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));
margin:18px 0 0;padding:0;list-style:none}
.tiles li,article,figure{background:var(--card);border:1px solid var(--line);
border-radius:10px}
.tiles li{padding:10px 14px}
.tiles b{display:block;font-size:1.35rem;font-weight:650;font-variant-numeric:tabular-nums}
article{padding:14px 16px;margin:0 0 12px}
.finding{border-left:4px solid var(--note)}
.finding.warning{border-left-color:var(--warn)}
.top{display:flex;gap:6px 16px;justify-content:space-between;flex-wrap:wrap;
align-items:baseline}
.badge{font-size:.75rem;font-weight:600;padding:1px 8px;border-radius:99px;margin-right:6px;
background:var(--note-soft);color:var(--note);white-space:nowrap;vertical-align:1px}
.warning .badge{background:var(--warn-soft);color:var(--warn)}
.figure{font-variant-numeric:tabular-nums;white-space:nowrap}
.figure b{font-weight:650}
.bar{height:4px;border-radius:2px;background:var(--empty);margin:8px 0}
.bar i{display:block;height:100%;border-radius:2px;background:var(--note)}
.warning .bar i{background:var(--warn)}
.remedy b{font-weight:600}
details{margin-top:8px}
summary{cursor:pointer;color:var(--quiet);font-size:.87rem}
.examples{list-style:none;padding:0;margin:8px 0 0}
.examples li{padding:8px 0;border-top:1px solid var(--line)}
.charts{display:grid;gap:12px;grid-template-columns:repeat(auto-fill,minmax(min(100%,320px),1fr))}
figure{margin:0;padding:12px 12px 8px}
figcaption b{color:var(--ink);font-size:1rem;font-weight:600;display:block}
svg{display:block;width:100%;height:auto;margin-top:6px}
svg text{font-size:11px;fill:var(--quiet);font-family:inherit}
.train{fill:var(--train)}.rest{fill:var(--train);opacity:.45}
.held{fill:none;stroke:var(--held);stroke-width:2;stroke-linejoin:round}
.grid{stroke:var(--line)}.axis{stroke:var(--quiet)}
.key{display:inline-block;width:12px;height:12px;border-radius:3px;background:var(--train);
vertical-align:-1px;margin:0 5px 0 0}
.key.line{height:3px;background:var(--held);vertical-align:4px;margin-left:14px}
.samples{display:grid;gap:12px;
grid-template-columns:repeat(auto-fill,minmax(min(100%,400px),1fr))}
.samples{align-items:start}.samples article{margin:0}
td.reason{font-weight:600}
.strip{display:flex;flex-wrap:wrap;gap:6px;margin:8px 0}
.strip img,.strip .none{height:92px;border-radius:6px;background:var(--empty);max-width:100%}
.strip img{width:auto;object-fit:cover}
.strip .none{width:92px;display:flex;align-items:center;justify-content:center;
color:var(--quiet);font-size:.75rem;text-align:center;padding:4px}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th{text-align:left;font-weight:600;color:var(--quiet);font-size:.82rem}
td,th{padding:8px 12px 8px 0;border-top:1px solid var(--line);vertical-align:top}
thead th{border-top:0}
td.number,th.number{text-align:right}
td.number{font-variant-numeric:tabular-nums;white-space:nowrap}
footer{padding-top:28px;padding-bottom:32px}
@media (max-width:640px){thead{display:none}tr{display:block;padding:8px 0;
border-top:1px solid var(--line)}td,td.number{display:block;border:0;padding:1px 0;
text-align:left;white-space:normal}td.number::after{content:attr(data-of)}
td.fix::before{content:"What to do: ";color:var(--quiet)}
.strip img,.strip .none{height:76px}}
"""


def opening(title: str, heading: str, tiles: Sequence[tuple[str, str]], style: str = "") -> str:
    """A page up to its main part.

    Args:
        title: Of the window; already escaped, as all here.
        heading: Of the page.
        tiles: Figures that are seen first, each with its words.
        style: What the page needs beside the common style.
    """
    items = "".join(
        f'<li><b>{figure}</b><span class="quiet">{words}</span></li>' for figure, words in tiles
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}{style}</style></head><body>\n"
        f'<header><h1>{heading}</h1><ul class="tiles">{items}</ul></header>'
    )
