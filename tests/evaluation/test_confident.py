import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

import podium
from podium.evaluation import find_label_issues


def test_a_worked_example():
    # thresholds: class 0 (0.9 + 0.7 + 0.2) / 3 = 0.6, class 1 (0.8 + 0.6 + 0.1) / 3 = 0.5
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.2, 0.8], [0.4, 0.6], [0.9, 0.1]])
    issues = find_label_issues(probabilities, np.array([0, 0, 0, 1, 1, 1]))
    assert issues.thresholds == pytest.approx([0.6, 0.5])
    assert issues.joint.tolist() == [[2, 1], [1, 2]]
    assert issues.rows.tolist() == [5, 2]  # the margins are 0.8 and 0.6
    assert issues.likely.tolist() == [0, 1]
    assert issues.margins == pytest.approx([0.8, 0.6])
    assert len(issues) == 2


def test_a_guess_below_its_class_threshold_is_no_issue():
    # class 1 is usually given 0.9, so 0.6 for an image of class 0 isn't believed, nor is its own 0.4
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.1, 0.9], [0.1, 0.9]])
    issues = find_label_issues(probabilities, np.array([0, 0, 1, 1]))
    assert len(issues) == 0
    assert issues.joint.tolist() == [[1, 0], [0, 2]]


def test_a_class_that_no_image_bears_is_never_the_likely_one():
    issues = find_label_issues(np.array([[0.1, 0.0, 0.9], [0.2, 0.8, 0.0]]), np.array([0, 1]))
    assert np.isinf(issues.thresholds[2])
    assert issues.joint[:, 2].tolist() == [0, 0, 0]


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(2, 6))
def test_issues_are_images_whose_label_is_not_the_likely_class(seed, num_images, num_classes):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(num_classes), num_images).astype(np.float32)
    labels = rng.integers(0, num_classes, num_images)
    issues = find_label_issues(probabilities, labels)
    assert (issues.likely != labels[issues.rows]).all()
    assert (np.diff(issues.margins) <= 0).all()
    assert len(issues) == issues.joint.sum() - issues.joint.trace()
    assert issues.joint.sum() <= num_images == issues.num_images
    believed = probabilities[issues.rows, issues.likely]
    assert (believed >= issues.thresholds[issues.likely]).all()


def test_planted_errors_in_digits_are_found():
    images = podium.open("digits").train
    rng = np.random.default_rng(0)
    planted = rng.choice(len(images), round(0.05 * len(images)), replace=False)
    labels = images.labels.copy()
    labels[planted] = (labels[planted] + rng.integers(1, 10, len(planted))) % 10
    features = images.pixels[:, ::2, ::2, 0].reshape(len(images), -1) / 255
    neighbours = KNeighborsClassifier(15)
    probabilities = cross_val_predict(neighbours, features, labels, cv=5, method="predict_proba")
    issues = find_label_issues(probabilities, labels)
    found = np.isin(issues.rows, planted).sum()
    assert found / len(planted) > 0.75  # recall
    assert found / len(issues) > 0.7  # precision
    assert np.isin(issues.rows[:20], planted).mean() > 0.9  # the widest margins come first
    right = images.labels[issues.rows] == issues.likely
    assert right[np.isin(issues.rows, planted)].mean() > 0.85  # and what it names is what they were
