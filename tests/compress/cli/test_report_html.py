"""report.html: self-contained, no script, every column explained, what was chosen by its own name."""

import re
from dataclasses import replace

from compress.cli.metric import BITS_PER_BYTE
from compress.cli.report_html import page
from tests.compress.cli.ledgers import ledger


def document(pictures=None):
    return page(ledger(), {"cnn float": "program X <b>"}, pictures or {})


def test_every_column_is_explained_and_every_row_has_them_all():
    text = document()
    heads = re.findall(r'<th scope="col">([^<]*)</th>', text)
    explained = re.findall(r"<dt>([^<]*)</dt><dd>[^<]+</dd>", text)
    assert set(heads[1:]) <= set(explained)
    assert list(ledger().head()[:-1]) == heads[:-2]
    rows = re.findall(r"<tr(?: class=\"control\")?><th scope=\"row\">.*?</tr>", text)
    assert len(rows) == len(ledger().rows)
    assert all(row.count("<td>") == len(heads) - 1 for row in rows)
    assert text.count("<tbody>") == 2


def test_less_is_better_where_it_is():
    some = replace(ledger(), metric=BITS_PER_BYTE)
    text = page(some, {}, {"bits-per-byte-bytes.png": b"picture"})
    assert some.head()[1] == "bits per byte"
    for said in ('<th scope="col">bits per byte</th>', "ms / 256 windows", "Down and to the left is better",
                 "has to lie below its control"):
        assert said in text
    assert "accuracy" not in text.lower()
    assert "0.010 worse than float" in text


def test_controls_stand_under_their_rows():
    text = document()
    names = re.findall(r'<th scope="row">([^<]*)</th>', text)
    wanted = ["dense control" if row.control else f"{row.network} {row.technique}" for row in ledger().rows]
    assert names == wanted
    assert text.count('class="control"') == wanted.count("dense control")


def test_it_needs_no_script_and_no_other_file():
    text = document({"accuracy-bytes.png": b"picture"})
    assert "<script" not in text
    assert not re.search(r"https?:|@import|url\(", text)
    assert 'src="data:image/png;base64,cGljdHVyZQ=="' in text
    for need in ("prefers-color-scheme: dark", "@media print", "tabular-nums"):
        assert need in text


def test_programs_are_escaped():
    assert "<pre>program X &lt;b&gt;</pre>" in document()


def test_what_was_chosen_is_named_as_its_row_is():
    text = document()
    for row in ledger().rows:
        if re.search(r"\d", row.technique.replace("int8", "")) and not row.control:
            assert f"<b>{row.technique} 96.80%</b>" in text
