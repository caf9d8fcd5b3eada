"""Label maps, overlays and the legend of segmented images."""

import os
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..datasets.image_files import read_size
from ..datasets.image_strips import ArrayStrips, Strips
from ..datasets.raster_files import Place
from ..evaluation.label_files import Ids, read_ids, write_image
from ..evaluation.placed_labels import write_placed
from .json_files import write_json
from .overlays import OverlayPainter

#: Folders of the results.
RESULTS = ('labels', 'overlays')
# Ids that are counted at once: numpy makes 8 bytes of each.
_AT_ONCE = 1 << 22


class ResultWriter:
    """Writes what a model finds in images, and counts it; on several threads, if wanted.

    Args:
        out_dir (str): folder for the results; made if missing.
        ids (Ids): of the label maps.
        painter (OverlayPainter): knows names and colours of the clusters.

    Attributes:
        counts (NDArray): (K,) pixels of each cluster so far.
    """

    def __init__(self, out_dir: str, ids: Ids, painter: OverlayPainter) -> None:
        self.counts = np.zeros(len(ids.of_clusters), dtype=np.int64)
        self._folder, self._ids, self._painter = Path(out_dir), ids, painter
        self._counting = threading.Lock()
        # Of results that were there before.
        self._old_counts = np.zeros(int(ids.of_clusters.max()) + 1, dtype=np.int64)

    def write(self, name: str, image: NDArray[np.uint8], clusters: NDArray) -> None:
        """Write the results of an image.

        Args:
            name (str): relative path, without suffix.
            image (NDArray): (H, W, 3) uint8 BGR.
            clusters (NDArray): (H, W).
        """
        self.write_painted(name, self.paint(ArrayStrips(image), clusters), clusters)

    def paint(self, strips: Strips, clusters: NDArray) -> NDArray[np.uint8]:
        """Paint the overlay of an image of any size.

        Args:
            strips (Strips): the image.
            clusters (NDArray): (H, W).

        Raises:
            ValueError: If the image cannot be read.
        """
        return self._painter.paint(strips, clusters)

    def write_painted(
        self,
        name: str,
        overlay: NDArray[np.uint8],
        clusters: NDArray,
        place: Place | None = None,
    ) -> None:
        """Write the results of an image whose overlay is painted.

        Args:
            name (str): relative path, without suffix.
            overlay (NDArray): of :meth:`paint`.
            clusters (NDArray): (H, W).
            place (Place, optional): where the image lies on the earth.

        Raises:
            OSError: If they cannot be written.
        """
        _write(self._folder / 'overlays' / f'{name}.png', overlay)
        counts = count_ids(clusters, len(self.counts))
        ids = self._ids.apply(clusters)
        if place is None:
            _write(self._folder / 'labels' / f'{name}.png', ids)
        else:
            write_placed(self._folder / 'labels' / f'{name}.tif', ids, *place)
        with self._counting:
            self.counts += counts

    def count_written(self, name: str, image: str | Path) -> bool:
        """Count the ids of an image whose results are there.

        Args:
            name (str): relative path, without suffix.
            image (str or Path): file of the image, which may have been replaced since.

        Returns:
            bool: whether they are there, no older than the image, and of its size.
        """
        if not (self._folder / 'overlays' / f'{name}.png').is_file():
            return False
        for suffix in ('.png', '.tif'):
            path = self._folder / 'labels' / f'{name}{suffix}'
            if path.is_file():
                if os.stat(path).st_mtime_ns < os.stat(image).st_mtime_ns:
                    return False
                ids, size = read_ids(path), read_size(image)
                if ids is None or int(ids.max()) >= len(self._old_counts):
                    return False
                if size is not None and ids.shape != size[::-1]:
                    return False
                self._old_counts += count_ids(ids, len(self._old_counts))
                return True
        return False

    def read_tally(self) -> dict[str, list[int]]:
        """What was counted, for :meth:`add_tally` of another writer."""
        return dict(clusters=self.counts.tolist(), ids_before=self._old_counts.tolist())

    def add_tally(self, tally: dict[str, list[int]]) -> None:
        """Add what the writer of other images has counted, to the legend.

        Args:
            tally (dict): of :meth:`read_tally`, with the same clusters and ids.
        """
        self.counts += np.array(tally['clusters'], dtype=np.int64)
        self._old_counts += np.array(tally['ids_before'], dtype=np.int64)

    def write_legend(self) -> Path:
        """Describe the ids of the label maps.

        Returns:
            Path: the file.
        """
        painter, path = self._painter, self._folder / 'legend.json'
        shares = self._old_counts.copy()
        of_clusters = self._ids.of_clusters
        np.add.at(shares, of_clusters, self.counts)
        total = max(1, int(shares.sum()))
        legend: dict[int, dict] = {}
        # Of clusters with one id the first gives the colour, whatever was counted before this call.
        order = np.argsort(-shares[of_clusters], kind='stable')
        for cluster in order.tolist():
            number = int(of_clusters[cluster])
            name = 'no class' if number == self._ids.no_class else painter.classes[cluster]
            share = round(int(shares[number]) / total, 6)
            colour = list(painter.palette[cluster])
            legend.setdefault(number, dict(name=name, colour=colour, share=share))
        write_json(path, legend)
        return path


def count_ids(ids: NDArray, number: int) -> NDArray[np.int64]:
    """Count pixels by id.

    Args:
        ids (NDArray): (H, W) in [0, number).
        number (int): of ids.

    Returns:
        NDArray: (number,).
    """
    flat = ids.reshape(-1)
    parts = range(0, len(flat), _AT_ONCE)
    counts = np.zeros(number, dtype=np.int64)
    for start in parts:
        counts += np.bincount(flat[start : start + _AT_ONCE], minlength=number)
    return counts


def _write(path: Path, image: NDArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(str(path), image)
