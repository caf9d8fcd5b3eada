"""PiCIE on COCO-Stuff-27 with all images: 118,287 of train2017, 5,000 of val2017.

Paper: Cho et al., PiCIE, CVPR 2021, which uses the benchmark's lists of images.
Command: python tools/train.py configs/picie_fpn_r18_cocostuff-full.py
Expected: no published figure. Not run by this project.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_r18.py',
    './_base_/datasets/cocostuff27_full.py',
    './_base_/schedules/picie_10e.py',
]
