"""Cityscapes (19 classes) with PSPNet on ResNet-18, from a checkpoint of PiCIE.

Command: python tools/train.py configs/finetune/pspnet_r18_cityscapes.py
"""

_base_ = ['./_base_/models/pspnet_r18.py', './_base_/cityscapes.py']

model = dict(
    data_preprocessor=dict(size=(512, 1024)),
)
