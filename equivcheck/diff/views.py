"""Which sample is which where the images are not the same picture: augmented, resized otherwise, turned.

The thumbnails of ``identity`` recognise a picture whatever affine preprocessing did to it. Here a picture is recognised
among others of its class although it was mirrored, turned, shifted or read at another size: each image of one set must
be more like its own partner than like the others of the same label. That cannot be said of one image, where two may
look alike, but of many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.diff.identity import SIDE, thumbnails

#: Images compared to see whether an order is the right one.
SHOWN = 32
#: Largest split whose images are searched one by one: pairs times views are compared, a few seconds at this size.
MOST = 400
#: Share of the images that must recognise their own partner. By chance one in k does, with k images of a label; of the
#: fixture's digits turned by up to 72 degrees, mirrored and shifted, four in five do.
OWN = 0.6
#: How much alike the found pairs must be on average, so that not any two sets of pictures can be paired: of the
#: fixture's digits turned, zoomed and shifted, 0.9.
ALIKE = 0.75
#: Degrees by which a picture is turned in the search; augmentation rarely turns further.
_ANGLES = (-60, -45, -30, -20, -10, 0, 10, 20, 30, 45, 60)


def in_order(
    reference: npt.NDArray[Any],
    other: npt.NDArray[Any],
    labels: npt.NDArray[np.int64],
    *,
    mirrored: bool = True,
) -> bool:
    """Whether image i of ``other`` shows what image i of ``reference`` does, for most i.

    Args:
        reference: ``(n, height, width, channels)``.
        other: ``(n, height', width', channels)``.
        labels: ``(n,)`` class index of each pair; images are told from others of their class.
        mirrored: Also recognise a picture that was mirrored, turned or shifted.
    """
    if len(reference) != len(other) or len(other) < 2:  # noqa: PLR2004
        return False
    shown = _mixed(labels)
    rivals = labels[shown][:, None] == labels[shown][None, :]
    pictures = reference[shown], other[shown]
    if _own(likenesses(*pictures, mirrored=mirrored), rivals):
        return True
    # Rows and columns exchanged: asked apart, because more views also make strangers more alike.
    return mirrored and _own(likenesses(pictures[0].transpose(0, 2, 1, 3), pictures[1], mirrored=False), rivals)


def _own(likeness: npt.NDArray[np.float64], rivals: npt.NDArray[np.bool_]) -> bool:
    """Whether most images are more like their own partner than like any rival."""
    compared = rivals.sum(axis=1) > 1
    if not compared.any():
        return False
    best = np.where(rivals, likeness, -np.inf).max(axis=1)
    own = np.diag(likeness) >= best - 1e-6
    # Equal pictures (all black, say) tell nothing.
    return bool(own[compared].mean() >= OWN and np.diag(likeness).mean() > likeness[rivals].mean())


def _mixed(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Up to ``SHOWN`` rows: whole classes as far as they fit, so that each has rivals of its own class."""
    if len(labels) <= SHOWN:
        return np.arange(len(labels))
    rows = np.concatenate([np.flatnonzero(labels == label) for label in dict.fromkeys(labels.tolist())])
    step = len(rows) // SHOWN
    spread: npt.NDArray[np.int64] = rows[::step][:SHOWN]
    return spread


def assign(
    reference: npt.NDArray[Any],
    other: npt.NDArray[Any],
    reference_labels: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64] | None:
    """For each image of ``other`` the row of its picture in ``reference``; each row is given once.

    Args:
        reference: ``(n, height, width, channels)``, every sample once.
        other: ``(m, height', width', channels)``, no sample twice.
        reference_labels: ``(n,)``.
        labels: ``(m,)``.

    Returns:
        The rows, or None where too few images recognise one picture, and are its most alike in turn.
    """
    if not 1 < len(other) <= MOST or len(reference) > MOST:
        return None
    likeness = np.full((len(other), len(reference)), -np.inf)
    for label in np.unique(labels):
        ours, theirs = np.flatnonzero(reference_labels == label), np.flatnonzero(labels == label)
        if len(ours):
            likeness[np.ix_(theirs, ours)] = likenesses(reference[ours], other[theirs], mirrored=True)
    mutual = likeness.argmax(axis=0)[likeness.argmax(axis=1)] == np.arange(len(other))
    if mutual.mean() < OWN or likeness.max(axis=1).mean() < ALIKE:
        return None
    rows = np.full(len(other), -1, np.int64)
    # The surest first; whoever comes late takes what is left of its class.
    for image in np.argsort(-likeness.max(axis=1), kind="stable"):
        free = likeness[image].copy()
        free[rows[rows >= 0]] = -np.inf
        if np.isfinite(free).any():
            rows[image] = int(free.argmax())
    return rows


def likenesses(reference: npt.NDArray[Any], other: npt.NDArray[Any], *, mirrored: bool) -> npt.NDArray[np.float64]:
    """``(m, n)``: how much each image of ``other`` looks like each of ``reference``, up to 1.

    Args:
        reference: ``(n, height, width, channels)``.
        other: ``(m, height', width', channels)``.
        mirrored: Take the best of many views of the reference: mirrored, turned, shifted.
    """
    pictures, wanted = _pictures(reference), _pictures(other)
    if not mirrored:
        return np.asarray(wanted.reshape(len(wanted), -1) @ pictures.reshape(len(pictures), -1).T, np.float64)
    spectra = np.conj(np.fft.rfft2(wanted))
    best = np.full((len(wanted), len(pictures)), -np.inf)
    for view in _views(pictures):
        seen = np.fft.rfft2(view)
        for row, spectrum in enumerate(spectra):
            # Correlation at every shift at once.
            shifts = np.fft.irfft2(seen * spectrum, s=wanted.shape[1:])
            best[row] = np.maximum(best[row], shifts.max(axis=(1, 2)))
    return best


def _pictures(images: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """``(n, 16, 16)``: thumbnails of one size, whatever size the images have."""
    return np.asarray(thumbnails(images, side=SIDE).reshape(len(images), SIDE, SIDE), np.float64)


def _views(pictures: npt.NDArray[np.float64]) -> Sequence[npt.NDArray[np.float64]]:
    """The pictures mirrored and turned."""
    place = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    views = []
    for picture in (pictures, pictures[:, :, ::-1], pictures[:, ::-1]):
        for angle in _ANGLES:
            cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
            turned = np.array([cosine * place[0] - sine * place[1], sine * place[0] + cosine * place[1]])
            nearest = np.clip(np.rint(turned + (SIDE - 1) / 2).astype(int), 0, SIDE - 1)
            view = picture[:, nearest[0], nearest[1]]
            view = view - view.mean(axis=(1, 2), keepdims=True)
            norms = np.linalg.norm(view, axis=(1, 2), keepdims=True)
            views.append(np.divide(view, norms, out=np.zeros_like(view), where=norms > 0))
    return views
