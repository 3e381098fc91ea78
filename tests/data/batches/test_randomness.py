"""Random numbers are fixed by what they are for: these values may never change for a given release of the format."""

import numpy as np

from segengine.data.batches.randomness import generator, permutation


def test_the_generator_of_an_image_is_pinned():
    assert generator(0, 0, "a/b").integers(0, 1000, 5).tolist() == [490, 749, 708, 666, 64]
    assert generator(0, 0, "a/b").random(3).round(9).tolist() == [0.749444948, 0.666432868, 0.588105392]


def test_the_order_of_a_cycle_is_pinned():
    assert permutation(0, 0, 8).tolist() == [1, 3, 4, 0, 6, 7, 5, 2]
    assert permutation(0, 0, 8).dtype == np.int64


def test_each_part_of_the_key_makes_another_generator():
    keys = [
        (0, 0, "a"),
        (1, 0, "a"),
        (0, 1, "a"),
        (0, 0, "b"),
        (0, 0, "a", "other"),
        (1, 1, "a"),
        (10, 1, "a"),
        (1, 10, "a"),
    ]
    assert len({generator(*key).random() for key in keys}) == len(keys)


def test_permutations_hold_each_image_once_and_differ_by_cycle_and_seed():
    orders = [permutation(seed, cycle, 50).tolist() for seed in range(3) for cycle in range(3)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 9


def test_the_global_generator_is_left_alone():
    np.random.seed(3)
    before = np.random.random()
    np.random.seed(3)
    generator(0, 0, "a").random(10)
    permutation(0, 0, 10)
    assert np.random.random() == before
