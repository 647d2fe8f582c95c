"""Marks stand side by side, labels cover nothing: as laws, and on the crowd that a ledger is."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.cli.placing import apart, crossed, overlap, place

FRAME = np.array([0.0, 0.0, 1000.0, 800.0])
PLACES = st.lists(st.tuples(st.integers(200, 800), st.integers(200, 600)), min_size=1, max_size=8)


def boxes(centres, sizes):
    return np.hstack([centres - sizes / 2, centres + sizes / 2])


@given(st.lists(st.tuples(st.integers(200, 240), st.integers(200, 400)), min_size=1, max_size=6))
def test_marks_that_would_hide_each_other_stand_apart(places):
    points = np.array(places, float)
    bars = points[:, 1, None] + np.array([-40.0, 40.0])
    x = apart(points, bars, 20.0)
    for i, j in combinations(range(len(x)), 2):
        away = abs(points[i, 1] - points[j, 1])
        if away < 20:
            assert abs(x[i] - x[j]) >= 20 - 1e-3
        elif away < 80:
            assert abs(x[i] - x[j]) >= 10 - 1e-3


def test_marks_with_room_stay_where_they_are():
    points = np.array([(100.0, 100.0), (100.0, 300.0), (130.0, 100.0)])
    bars = points[:, 1, None] + np.array([-10.0, 10.0])
    assert np.array_equal(apart(points, bars, 20.0), points[:, 0])


def test_coinciding_marks_keep_their_middle():
    points = np.full((3, 2), 500.0)
    x = apart(points, points[:, 1, None] + np.zeros((3, 2)), 20.0)
    assert np.allclose(np.sort(x), [480, 500, 520], atol=1e-3)


def test_the_area_that_boxes_share():
    others = np.array([[2, 1, 9, 9], [4, 0, 5, 5], [1, 0, 2, 2], [-9, -9, -1, 9]])
    assert np.array_equal(overlap(np.array([[0, 0, 4, 2]]), others), [[2, 0, 2, 0]])


@given(PLACES)
def test_labels_cover_no_label_and_no_mark(places):
    """With up to eight points and room around them there is a place for everything."""
    points = np.array(places, float)
    points[:, 0] = apart(points, points[:, 1, None] + np.zeros((len(points), 2)), 20.0)
    sizes = np.full(points.shape, (90.0, 20.0))
    marks = boxes(points, np.full(points.shape, 16.0))
    centres = place(points, sizes, marks, FRAME, 15.0)
    labels = boxes(centres, sizes)
    assert (labels[:, :2] >= FRAME[:2]).all()
    assert (labels[:, 2:] <= FRAME[2:]).all()
    assert not np.triu(overlap(labels, labels), 1).any()
    assert not overlap(labels, marks).any()
    assert np.array_equal(centres, place(points, sizes, marks, FRAME, 15.0))


def test_a_label_alone_stands_close_to_its_mark():
    (centre,) = place(np.array([[500.0, 400.0]]), np.array([[90.0, 20.0]]), np.empty((0, 4)), FRAME, 15.0)
    assert abs(centre[0] - 500) <= 45 + 15
    assert abs(centre[1] - 400) <= 10 + 15


def test_a_label_at_the_edge_stays_inside():
    points = np.array([[999.0, 799.0], [1.0, 1.0]])
    sizes = np.full((2, 2), (90.0, 20.0))
    labels = boxes(place(points, sizes, np.empty((0, 4)), FRAME, 15.0), sizes)
    assert (labels >= 0).all()
    assert (labels[:, 2:] <= FRAME[2:]).all()


def test_a_label_is_nearest_to_its_own_mark():
    points = np.array([[500.0, 400.0], [524.0, 400.0], [512.0, 424.0]])
    sizes = np.full(points.shape, (90.0, 20.0))
    labels = boxes(place(points, sizes, boxes(points, np.full(points.shape, 16.0)), FRAME, 15.0), sizes)
    ends = np.clip(points[:, None], labels[:, :2], labels[:, 2:])
    away = np.linalg.norm(points[:, None] - ends, axis=2)  # of each mark to each label
    others = away + np.diag([np.inf] * 3)
    assert (away.diagonal() < others.min(axis=0)).all()


def test_the_line_to_a_label_goes_through_the_gap_of_a_wall():
    """The mark is walled in, too narrowly for its label; only to the left is a gap for the line."""
    right, above, below = (540, 300, 550, 500), (450, 500, 550, 510), (450, 290, 550, 300)
    left = [(450, 300, 460, 392), (450, 408, 460, 500)]
    walls = np.array([right, above, below, *left], float)
    (centre,) = place(np.array([[500.0, 400.0]]), np.array([[90.0, 20.0]]), walls, FRAME, 15.0)
    assert centre[0] + 45 <= 450
    assert centre[1] == 400


def test_lines_through_boxes():
    starts = np.array([(0, 0), (0, 0), (5, -9), (0, 3)], float)
    ends = np.array([(10, 10), (3, 10), (5, 9), (3, 3)], float)
    box = np.array([(4, 2, 6, 6), (20, 20, 30, 30)], float)
    assert crossed(starts, ends, box).tolist() == [[True, False], [False, False], [True, False], [False] * 2]


@pytest.mark.parametrize("seed", [0, 32, 52, 57])
def test_no_line_to_a_label_goes_through_another_label(seed):
    """In a crowd, whose names stand far from it."""
    rng = np.random.default_rng(seed)
    points = np.column_stack([400 + rng.uniform(0, 300, 8), 300 + rng.uniform(0, 60, 8)])
    points[:, 0] = apart(points, points[:, 1, None] + np.zeros((8, 2)), 20.0)
    sizes = np.full(points.shape, (90.0, 20.0))
    labels = boxes(place(points, sizes, boxes(points, np.full(points.shape, 16.0)), FRAME, 15.0), sizes)
    through = crossed(points, np.clip(points, labels[:, :2], labels[:, 2:]), labels)
    np.fill_diagonal(through, False)
    assert not through.any()
