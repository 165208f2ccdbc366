"""Episodes on disk in the LeRobot dataset layout: written version 3.0, read 3.0, 2.1 and 2.0."""

from .encode import Encoded as Encoded
from .encode import encode as encode
from .keys import Keys as Keys
from .layout import IMAGES as IMAGES
from .layout import Images as Images
from .reader import Dataset as Dataset
from .reader import find_datasets as find_datasets
from .reader import open_dataset as open_dataset
from .writer import DatasetWriter as DatasetWriter
