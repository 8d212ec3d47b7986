"""What only the index on tantivy has: its own spelling, its files, its threads."""

from __future__ import annotations

import asyncio
import json
import time
from functools import cache
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from torg.contexts.catalog.adapters.index_common.mistakes import edit_distance
from torg.contexts.catalog.adapters.index_common.words import in_other_layout
from torg.contexts.catalog.adapters.index_tantivy import TantivyProductIndex
from torg.contexts.catalog.adapters.index_tantivy.fields import LARGEST_VALUE, NUMBER_BITS, sort_key
from torg.contexts.catalog.adapters.index_tantivy.vocabulary import Vocabulary
from torg.contexts.catalog.ports import SearchRequest
from torg.contexts.catalog.tests.index_products import PRODUCTS, ids, product, put

words = st.text("abcй", max_size=6)


@given(one=words, other=words, at_most=st.integers(0, 3))
def test_edit_distance_counts_the_fewest_edits(one: str, other: str, at_most: int) -> None:
    @cache
    def plain(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        best = min(plain(i - 1, j) + 1, plain(i, j - 1) + 1, plain(i - 1, j - 1) + (one[i - 1] != other[j - 1]))
        swapped = i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]
        return min(best, plain(i - 2, j - 2) + 1) if swapped else best

    assert edit_distance(one, other, at_most) == min(plain(len(one), len(other)), at_most + 1)


@given(word=st.text("abcdeж", min_size=3, max_size=9), others=st.lists(st.text("abcdeж", min_size=2, max_size=9), unique=True))
def test_guesses_miss_no_word_within_the_allowed_mistakes(word: str, others: list[str]) -> None:
    allowed = 2 if len(word) >= 6 else 1
    guesses = {guess.word for guess in Vocabulary((other, 1) for other in others).guesses(word, len(others))}
    assert guesses == {other for other in others if other != word and edit_distance(word, other, allowed) <= allowed}


def test_nearer_word_is_guessed_before_a_more_frequent_one() -> None:
    vocabulary = Vocabulary([("frozen", 5), ("frizzed", 500), ("brozne", 500), ("freezer", 7)])
    assert [guess.word for guess in vocabulary.guesses("frozne", 3)] == ["frozen", "brozne"]


def test_wrongly_doubled_letters_count_least() -> None:
    vocabulary = Vocabulary([("batteries", 1), ("berries", 500), ("pita", 500), ("pizza", 1)])
    assert vocabulary.guesses("baterries", 1)[0].word == "batteries"
    assert vocabulary.guesses("piza", 1)[0].word == "pizza"


@given(st.text("абвгджзйфыя qwertyuiop", max_size=20))
def test_switching_the_keyboard_twice_changes_nothing(text: str) -> None:
    assert in_other_layout(in_other_layout(text)) == text


def test_sort_keys_keep_the_order_of_values_and_never_collide() -> None:
    values = [-5, 0, 1, 2**31, LARGEST_VALUE, LARGEST_VALUE + 1, 1 << 62]
    keys = [sort_key(value, number) for value in values for number in (1, 2, (1 << NUMBER_BITS) - 1)]
    assert len(set(keys[3:-6])) == len(keys[3:-6])
    assert all(0 <= key < 1 << 63 for key in keys)
    assert [sort_key(value, 1) for value in values] == sorted(sort_key(value, 1) for value in values)


async def test_nonsense_costs_no_more_the_longer_it_is(tmp_path: Path) -> None:
    random = Random(2)
    nonsense = ["".join(random.choices("abcdeilnorstабвгдеилнорст", k=random.randrange(4, 11))) for _ in range(8000)]
    index = await TantivyProductIndex.open(tmp_path)
    await put(index, *(product(str(at), " ".join(nonsense[at : at + 8])) for at in range(0, 8000, 8)))

    async def seconds(words: list[str]) -> float:
        start = time.process_time()
        await index.search(SearchRequest(text=" ".join(word[::-1] for word in words)))
        return time.process_time() - start

    few = min([await seconds(nonsense[at : at + 100]) for at in (0, 100, 200)])
    assert min([await seconds(nonsense[at:] + nonsense[:at]) for at in (300, 400, 500)]) < 10 * few
    await index.close()


async def test_index_of_another_version_or_without_its_folder_begins_anew(tmp_path: Path) -> None:
    index = await TantivyProductIndex.open(tmp_path)
    await index.put(PRODUCTS[:5], position=3)
    await index.close()
    (tmp_path / "state.json").write_text(json.dumps({"version": 0, "generation": 1, "position": 3}))
    again = await TantivyProductIndex.open(tmp_path)
    assert (again.position, await ids(again)) == (None, [])
    await again.close()


async def test_rebuild_cut_short_by_a_crash_leaves_the_present_index(tmp_path: Path) -> None:
    index = await TantivyProductIndex.open(tmp_path)
    await index.put(PRODUCTS[:5], position=3)
    await index.close()
    (tmp_path / "generation-9").mkdir()
    again = await TantivyProductIndex.open(tmp_path)
    assert again.position == 3
    assert len(await ids(again)) == 5
    assert not (tmp_path / "generation-9").exists()
    await again.close()


async def test_rebuild_leaves_nothing_of_the_index_before(tmp_path: Path) -> None:
    index = await TantivyProductIndex.open(tmp_path)
    await put(index, *PRODUCTS[:5])
    await index.rebuild(PRODUCTS[:6], position=3)
    await index.close()
    assert len(list(tmp_path.glob("generation-*"))) == 1  # noqa: ASYNC240 a test may block


async def test_cancelled_flush_loses_nothing(tmp_path: Path) -> None:
    index = await TantivyProductIndex.open(tmp_path)
    await index.put(PRODUCTS, position=1)
    flushing = asyncio.create_task(index.flush())
    await asyncio.sleep(0)  # it has given its thread the work
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    assert flushing.cancelled()
    await index.flush()
    assert (await index.search(SearchRequest())).total == len(PRODUCTS)
    assert index.position == 1
    await index.close()
