"""What a page under test shows in a real browser, at any width."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import unescape
from typing import Any

from tests.comparison.page.comparisons import Browser

# A page under test reports what it saw in an element of its own. Its policy lets no other script run than the page's
# and this one; what the policy forbids is itself reported as a violation.
_PROBE = """
const seen = {errors: [], violations: []};
window.addEventListener("error", (event) => seen.errors.push(event.message));
document.addEventListener("securitypolicyviolation", (event) => seen.violations.push(event.violatedDirective));
window.addEventListener("load", () => {
  (() => { %s })();
  seen.requests = performance.getEntriesByType("resource").map((entry) => entry.name).filter((name) => !name.startsWith("data:"));
  seen.title = document.title;
  const out = document.createElement("pre");
  out.id = "seen";
  out.textContent = JSON.stringify(seen);
  document.body.append(out);
  if (parent !== window) parent.postMessage(out.textContent, "*");
});
"""
# A headless window is at least 500 pixels wide; a frame can be as narrow as a telephone.
_FRAME = """<!doctype html><body><pre id="seen"></pre><script>
addEventListener("message", (event) => { document.getElementById("seen").textContent = event.data; });
</script><iframe src="%s" width="%d" height="2400" frameborder="0"></iframe>"""


def probed(browser: Browser, page: str, script: str = "", *flags: str, width: int = 1280) -> dict[str, Any]:
    """What `script` stored in `seen`, with errors, violations of the policy and requests."""
    probe = _PROBE % script
    digest = base64.b64encode(hashlib.sha256(probe.encode()).digest()).decode()
    opened = page.replace("script-src ", f"script-src 'sha256-{digest}' ", 1).replace(
        "<style>", f"<script>{probe}</script>\n<style>", 1
    )
    if width < 500:
        inner = browser.folder / "inner.html"
        inner.write_text(opened, encoding="utf-8")
        opened = _FRAME % (inner.as_uri(), width)
    dom = browser.dom(opened, *flags, width=max(width, 600))
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-2000:]
    result: dict[str, Any] = json.loads(unescape(found[1]))
    return result


TEXTS = """
      seen.outside = []; seen.on = []; seen.count = 0;
      for (const svg of document.querySelectorAll(".canvas svg")) {
        const frame = svg.getBoundingClientRect();
        if (!frame.width) continue;
        const texts = [...svg.querySelectorAll("text")].map((each) => [each, each.getBoundingClientRect()]);
        seen.count += texts.length;
        for (const [each, box] of texts)
          if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
            seen.outside.push(`${svg.querySelector("title").textContent}: ${each.textContent}`);
        const level = texts.filter(([each]) => !each.hasAttribute("transform"));
        level.forEach(([one, a], place) => level.slice(place + 1).forEach(([other, b]) => {
          const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
          if (across > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4)
            seen.on.push(`${svg.querySelector("title").textContent}: ${one.textContent} on ${other.textContent}`);
        }));
      }
    """
"""Texts of drawings that are cut by the drawing's edge or lie on another."""
