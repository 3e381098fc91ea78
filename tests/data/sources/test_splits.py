import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segengine.data.sources.records import Record
from segengine.data.sources.splits import Folds, Fractions, indices, split_records
from segengine.errors import DataError, SpecError


def record(name, split=None):
    return Record(name, Path(f"/data/{name}.png"), Path(f"/data/{name}_mask.png"), name, split)


def patients(sizes):
    return [record(f"p{p:02}_s{s:03}") for p, size in enumerate(sizes) for s in range(size)]


def counts(records):
    return Counter(r.split for r in records)


def test_fractions_by_image_are_met_exactly():
    found = split_records([record(f"{i:03}") for i in range(100)], Fractions(0.7, 0.15, 0.15))
    assert counts(found) == {"train": 70, "validation": 15, "test": 15}
    assert [r.id for r in found] == sorted(r.id for r in found)
    assert {name: len(i) for name, i in indices(found).items()} == {"train": 70, "validation": 15, "test": 15}


def test_another_seed_is_another_split_and_the_order_of_files_is_none():
    records = [record(f"{i:03}") for i in range(60)]
    shuffled = random.Random(1).sample(records, 60)
    plan = Fractions(0.5, 0.25, 0.25)
    assert split_records(records, plan) == split_records(shuffled, plan)
    assert split_records(records, plan) != split_records(records, Fractions(0.5, 0.25, 0.25, seed=1))


def test_a_split_is_the_same_in_another_process():
    code = (
        "from pathlib import Path; from segengine.data.sources.records import Record; from segengine.data.sources.splits import *;"
        "r = [Record(str(i), Path(f'{i}.png'), None, str(i)) for i in range(20)];"
        "print(''.join(x.split[:2] for x in split_records(r, Fractions(0.5, 0.25, 0.25, seed=7))))"
    )
    outcomes = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert outcomes == {"tetetrtrvatrtrtrvavavavatetrtrtrtetrtetr\n"}


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=3, max_size=25), seed=st.integers(0, 5))
def test_a_group_is_never_in_two_splits_and_none_is_empty(sizes, seed):
    plan = Fractions(0.6, 0.2, 0.2, by="group", group=r"^(p\d+)", seed=seed)
    found = split_records(patients(sizes), plan)
    where = {}
    for r in found:
        assert where.setdefault(r.group, r.split) == r.split
    assert set(where.values()) == {"train", "validation", "test"}
    assert len(found) == sum(sizes)


def test_groups_meet_the_fractions_as_nearly_as_they_can():
    found = split_records(patients([30, 10, 10, 10, 20, 20]), Fractions(0.5, 0.3, 0.2, by="group", group=r"^(p\d+)"))
    assert counts(found) == {"train": 50, "validation": 30, "test": 20}


def test_each_image_is_tested_in_exactly_one_fold():
    records = patients([5, 7, 3, 6, 9, 4, 8])
    tested = Counter()
    for fold in range(3):
        found = split_records(records, Folds(3, 0.2, by="group", group=r"^(p\d+)"), fold=fold)
        assert set(counts(found)) == {"train", "validation", "test"}
        tested.update(r.id for r in found if r.split == "test")
        groups = {(r.group, r.split) for r in found}
        assert len(groups) == 7
    assert tested == Counter({r.id: 1 for r in records})


def test_folds_need_a_fold_and_fractions_none():
    records = [record(str(i)) for i in range(9)]
    with pytest.raises(SpecError, match="has 3 folds, but fold None was requested; choose 0 to 2"):
        split_records(records, Folds(3))
    with pytest.raises(SpecError, match=r"a fold was requested but data.split has no folds"):
        split_records(records, Fractions(0.5, 0.5), fold=0)


def test_a_pattern_that_finds_no_group_names_the_image():
    with pytest.raises(
        DataError, match=r"/data/scan7\.png: data\.split\.group '\^p\(\\d\+\)' matches no group in 'scan7'"
    ):
        split_records([record("p1"), record("scan7")], Fractions(0.5, 0.5, by="group", group=r"^p(\d+)"))
    with pytest.raises(SpecError, match=r"is not a valid regular expression"):
        split_records([record("p1")], Fractions(0.5, 0.5, by="group", group="("))
    with pytest.raises(SpecError, match="by: group needs `group`"):
        split_records([record("p1")], Fractions(0.5, 0.5, by="group"))
    with pytest.raises(SpecError, match="`group` is given, but by: image would divide groups"):
        split_records([record("p1")], Fractions(0.5, 0.5, group=r"^p"))


def test_a_pattern_without_parentheses_gives_its_whole_match():
    found = split_records([record("p1_a", "train"), record("p2_b", "validation")], group=r"p\d")
    assert [r.group for r in found] == ["p1", "p2"]


def test_a_group_across_folders_is_an_error_that_names_it():
    records = [record("p1_a", "train"), record("p1_b", "validation")]
    with pytest.raises(DataError, match="group 'p1' is in two splits: p1_a in train and p1_b in validation"):
        split_records(records, group=r"^(p\d)")
    assert counts(split_records(records)) == {"train": 1, "validation": 1}


def test_folders_without_splits_need_a_split():
    with pytest.raises(SpecError, match=r"define no train and validation splits \(2 images\); write data\.split"):
        split_records([record("a"), record("b")])


def test_fractions_divide_train_where_folders_give_only_a_test():
    records = [record(f"a{i}", "train") for i in range(10)] + [record("z", "test")]
    assert counts(split_records(records, Fractions(0.8, 0.2))) == {"train": 8, "validation": 2, "test": 1}
    with pytest.raises(SpecError, match=r"the folders already define train, test; remove data.split"):
        split_records(records, Fractions(0.6, 0.2, 0.2))


def test_fractions_sum_to_one_and_groups_suffice():
    with pytest.raises(SpecError, match=r"are 0.5, 0.2, 0.1; they must sum to 1"):
        split_records([record("a")], Fractions(0.5, 0.2, 0.1))
    with pytest.raises(DataError, match=r"2 groups \(p00, p01\) can't fill 3 splits"):
        split_records(patients([4, 4]), Fractions(0.6, 0.2, 0.2, by="group", group=r"^(p\d+)"))
