"""Which migrations would break the version before them, and that those in contract are let through."""

from __future__ import annotations

from pathlib import Path

import pytest

from torg.kit.sql.compatibility import breaking

FIRST = """-- Totals of orders.
create table total (
    id text primary key,
    amount bigint not null,
    note text
);

create unique index total_note on total (note);
create index total_amount on total (amount);
"""


def folder(tmp_path: Path, second: str, first: str = FIRST) -> Path:
    made = tmp_path / "shelf" / "migrations"
    made.mkdir(parents=True)
    (made / "0001_totals.sql").write_text(first)
    (made / "0002_more.sql").write_text(second)
    return made


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("drop table total", "drops the table total"),
        ("alter table total drop column note", "drops total.note"),
        ("alter table total drop note", "drops total.note"),
        ("alter table total rename column note to remark", "renames total.note"),
        ("alter table total rename note to remark", "renames total.note"),
        ("alter table total rename to sums", "renames total,"),
        ("alter table total add column city text not null", "adds total.city, which must be filled"),
        ("alter table total add city text not null", "adds total.city, which must be filled"),
        ("alter table total add column code text unique", "adds total.code as unique"),
        ("alter table total alter column amount type integer", "changes the type of total.amount"),
        ("alter table total\n    alter amount set data type numeric", "changes the type of total.amount"),
        ("alter table total alter column note set not null", "wants total.note filled"),
        ("alter table total alter column amount drop default", "takes the default of total.amount"),
        ("alter table total add constraint positive check (amount > 0)", "adds a rule to total"),
        ("alter table total add unique (amount)", "makes something of total unique"),
        ("alter table total drop constraint positive", "drops a constraint of total"),
        ("alter table total detach partition total_rest", "takes a partition out of total"),
        ("alter table total add column city text, drop column note", "drops total.note"),
        ("create unique index one_amount on total (amount)", "makes something of total unique (index one_amount)"),
        ("drop index total_note", "drops the unique index total_note"),
        ("create trigger noted after insert on total execute function note()", "teach it"),
        ("alter table total enable row level security", "teach it"),
    ],
)
def test_what_breaks_the_version_before_is_refused(tmp_path: Path, statement: str, said: str):
    (fault,) = breaking(folder(tmp_path, f"{statement};\n"))
    assert fault.startswith("shelf/0002_more.sql: ")
    assert said in fault


@pytest.mark.parametrize(
    "statement",
    [
        "create table more (id text primary key, total_id text not null references total (id))",
        "create table more (x integer);\nalter table more add column y integer not null;\ncreate unique index more_x on more (x);\ndrop table more",
        "alter table total add column city text not null default ''",
        "alter table total add column city text",
        "create index total_city on total (amount, note)",
        "drop index total_amount",
        "update total set note = '' where note is null",
        "insert into total (id, amount) select id, amount from total where false",
        "create view large as select * from total where amount > 100",
    ],
)
def test_what_the_version_before_need_not_know_of_is_welcome(tmp_path: Path, statement: str):
    assert breaking(folder(tmp_path, f"{statement};\n")) == []


def test_a_contract_lets_what_nobody_uses_any_more_go(tmp_path: Path):
    header = "-- The note moved to remarks.\n-- contract: nothing older than shelf/0001_totals.sql runs any more\n"
    assert breaking(folder(tmp_path, f"{header}alter table total drop column note;\n")) == []


def test_a_contract_with_a_migration_that_is_not_there_is_refused(tmp_path: Path):
    header = "-- contract: nothing older than shelf/0009_remarks.sql runs any more\n"
    (fault,) = breaking(folder(tmp_path, f"{header}alter table total drop column note;\n"))
    assert "no migration before it has that name" in fault


def test_a_sentence_says_what_to_do(tmp_path: Path):
    (fault,) = breaking(folder(tmp_path, "alter table total drop column note;\n"))
    assert "the version before it still reads or writes: let the new version do without it first" in fault
    assert "-- contract: nothing older than" in fault


def test_an_engines_own_text_is_looked_at_too(tmp_path: Path):
    made = folder(tmp_path, "create table more (x integer);\n")
    (made / "0002_more.postgresql.sql").write_text("alter table total drop column note;\n")
    assert len(breaking(made)) == 1
