from bench.spread import Spread, rotated


def test_a_spread_has_the_least_the_middle_and_the_most() -> None:
    assert Spread.of([5, 1, 3]) == Spread(1, 3, 5)


def test_the_middle_of_an_even_number_lies_between_two() -> None:
    assert Spread.of([1, 2, 4, 8]).median == 3


def test_ratios_are_taken_round_by_round() -> None:
    # The machine was half as fast in the second round: the ratio does not notice.
    assert Spread.of_ratios([10, 5, 30], [5, 2.5, 10]) == Spread(2, 2, 3)


def test_a_spread_reads_from_least_to_most() -> None:
    assert str(Spread(0.5, 1, 2.25)) == "0.50 / 1.00 / 2.25"


def test_each_contender_goes_first_in_turn() -> None:
    assert [rotated("abc", number)[0] for number in range(4)] == ["a", "b", "c", "a"]
    assert all(sorted(rotated("abc", number)) == ["a", "b", "c"] for number in range(4))
