"""Problems of the YAML text itself: each refused with its place, and bombs in no time."""

from __future__ import annotations

import time

import pytest

from svgp.config.nodes import Place, plain
from svgp.config.reader import MAX_DEPTH, MAX_NODES, Reader

DATA = "data: {dataset: curve}\n"


def read(text: str) -> tuple[object, list[str]]:
    reader = Reader(text, lambda mark: Place("f", mark.line + 1, mark.column + 1))
    node = reader.read()
    return (None if node is None else plain(node)), [str(problem) for problem in reader.problems]


def test_values_and_places() -> None:
    reader = Reader(
        "a: 1\nb:\n  - x\n  - {c: '2'}\n", lambda mark: Place("f", mark.line + 1, mark.column + 1)
    )
    root = reader.read()
    assert root is not None and plain(root) == {"a": 1, "b": ["x", {"c": "2"}]}
    items = root.mapping["b"].content
    assert isinstance(items, list)
    key = items[1].mapping["c"].key
    assert (key and (key.line, key.column)) == (4, 6)
    assert (items[1].mapping["c"].place.line, items[1].mapping["c"].place.column) == (4, 9)


def test_duplicate_keys_name_the_first_one(problems) -> None:
    assert problems(DATA + "train:\n  seed: 1\n  seed: 2\nname: a\nname: b\n") == [
        "c.yaml:4:3: duplicate key 'seed'; it is first given at line 3",
        "c.yaml:6:1: duplicate key 'name'; it is first given at line 5",
    ]


def test_every_tabbed_line_is_named(problems) -> None:
    assert problems("data:\n\tdataset: curve\ntrain:\n  \tseed: 1\n") == [
        "c.yaml:2:1: a tab; YAML takes spaces only",
        "c.yaml:4:3: a tab; YAML takes spaces only",
    ]


@pytest.mark.parametrize(
    ("tag", "shown"),
    [
        ("!!python/object/apply:os.system ['true']", "!!python/object/apply:os.system"),
        ("!!python/name:os.system", "!!python/name:os.system"),
        ("!!str x", "!!str"),
        ("!!binary aGk=", "!!binary"),
        ("!mine x", "!mine"),
        ("! x", "!"),
    ],
)
def test_every_tag_is_refused(problems, tag: str, shown: str) -> None:
    found = problems(DATA + f"name: {tag}\n")
    assert found[0].startswith(f"c.yaml:2:7: the tag '{shown}' is refused: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "c.yaml:1:1: expected a mapping such as {data: {...}}, got nothing: the config is empty"),
        ("# only a comment\n", "got nothing: the config is empty"),
        ("- a\n- b\n", "c.yaml:1:1: expected a mapping such as {data: {...}}, got a list"),
        ("x,y\n", "c.yaml:1:1: expected a mapping such as {data: {...}}, got 'x,y'"),
        ("3\n", "got 3"),
    ],
)  # fmt: skip
def test_a_root_that_is_no_mapping(problems, text: str, message: str) -> None:
    (found,) = problems(text)
    assert message in found.replace("{path: table.csv, target: y}", "{...}")


def test_several_documents(problems) -> None:
    assert problems(DATA + "---\n" + DATA) == [
        "c.yaml:2:1: a second document begins here; a config is one document"
    ]


def test_keys_that_are_no_text(problems) -> None:
    found = problems(DATA + "1: a\n? [x, y]\n: b\n? {k: v}\n: c\n~: d\ntrue: e\n")
    assert found == [
        "c.yaml:2:1: a key must be text, got 1",
        "c.yaml:3:3: a key must be text, got a list",
        "c.yaml:5:3: a key must be text, got a mapping",
        "c.yaml:7:1: a key must be text, got ~",
        "c.yaml:8:1: a key must be text, got true",
    ]


@pytest.mark.parametrize(
    ("text", "start", "hint"),
    [
        ("name: a: b\n", "c.yaml:1:8: not valid YAML: mapping values are not allowed", "quote a text"),
        ("data: [a\n", "c.yaml:2:1: not valid YAML: ", "not closed"),
        ('path: "C:\\Users"\n', "c.yaml:1:12: not valid YAML: ", "single quotes"),
        ("name: @x\n", "c.yaml:1:7: not valid YAML: ", "quote a text"),
        ("name: 'x\n", "c.yaml:2:1: not valid YAML: ", "not closed"),
        ("a: 1\n b: 2\n", "c.yaml:2:3: not valid YAML: ", "indentation"),
    ],
)
def test_syntax_errors_say_where_and_what_to_do(problems, text: str, start: str, hint: str) -> None:
    (found,) = problems(text)
    assert found.startswith(start) and hint in found


def test_what_is_not_utf8_text(problems) -> None:
    assert problems("name: a\nnote: \xe9\n".encode("latin-1")) == [
        "c.yaml: not UTF-8 text (line 2); save it as UTF-8"
    ]
    assert "not UTF-8" in problems("name: a".encode("utf-16"))[0]
    assert problems(b"name: a\nb: \0c\n") == [
        "c.yaml:2:4: the character U+0000 cannot stand in YAML; is this a text file?"
    ]


def test_a_byte_order_mark_and_windows_line_ends_are_fine() -> None:
    assert read("name: é\r\nb: 2\r\n") == ({"name": "é", "b": 2}, [])


def test_merge_keys_add_what_is_not_stated() -> None:
    text = "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\none: {<<: *b, x: 5}\ntwo: {<<: [*b, *o], w: 0}\n"
    value, problems = read(text)
    assert not problems and isinstance(value, dict)
    assert value["one"] == {"x": 5, "y": 2}
    assert value["two"] == {"x": 1, "y": 2, "z": 4, "w": 0}
    assert read("a: {<<: 3}\n")[1] == ["f:1:9: '<<' takes a mapping or a list of mappings"]
    assert read("a: {'<<': 3}\n") == ({"a": {"<<": 3}}, [])


def test_aliases_without_an_end_or_a_beginning() -> None:
    assert read("a: &x [*x]\n")[1] == ["f:1:8: the alias '*x' stands inside its own anchor"]
    assert read("a: *x\n")[1] == ["f:1:4: the alias '*x' has no anchor '&x' above it"]


def test_alias_bombs_are_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    start = time.perf_counter()
    value, problems = read("\n".join(lines))
    assert value is None and len(problems) == 1
    assert f"more than {MAX_NODES} values once aliases are expanded" in problems[0]
    assert time.perf_counter() - start < 2  # 10^30 values; measured 0.03 s


def test_merge_bombs_are_refused_at_once() -> None:
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: 0" for n in range(100)) + "}"]
    lines += [f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}}}" for n in range(1, 40)]
    value, problems = read("\n".join(lines))
    assert value is None and "aliases are expanded" in problems[0]


def test_nesting_has_an_end() -> None:
    value, problems = read("[" * 50_000)
    assert value is None and problems == [f"f:1:{MAX_DEPTH + 2}: nested more than {MAX_DEPTH} levels deep"]
