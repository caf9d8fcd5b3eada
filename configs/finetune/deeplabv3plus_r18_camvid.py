"""CamVid with DeepLabV3+ on ResNet-18, from a checkpoint of PiCIE.

Command: python tools/train.py configs/finetune/deeplabv3plus_r18_camvid.py
"""

_base_ = ['./_base_/models/deeplabv3plus_r18.py', './_base_/camvid.py', './_base_/schedule_200i.py']

model = dict(
    data_preprocessor=dict(size=(160, 160)),
    backbone=dict(init_cfg=dict(checkpoint='work_dirs/picie_fpn_r18_camvid/epoch_3.pth')),
    decode_head=dict(num_classes=11),
    auxiliary_head=dict(num_classes=11),
)
