"""Cityscapes (19 classes) with UPerNet on ResNet-18, from a checkpoint of PiCIE.

Command: python tools/train.py configs/finetune/upernet_r18_cityscapes.py
"""

_base_ = ['./_base_/models/upernet_r18.py', './_base_/cityscapes.py']

model = dict(
    data_preprocessor=dict(size=(512, 1024)),
)
