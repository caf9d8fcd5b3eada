"""PiCIE with ConvNeXt-T on COCO-Stuff-27.

Command: python tools/train.py configs/backbones/picie_fpn_convnext-t_cocostuff.py
timm downloads the weights from its hub when the model is built.
"""

_base_ = '../picie_fpn_r18_cocostuff.py'

model = dict(
    backbone=dict(
        _delete_=True, type='TIMMBackbone', model_name='convnext_tiny.fb_in1k', pretrained=True
    ),
    neck=dict(in_channels=(96, 192, 384, 768), out_channels=256),
    decode_head=dict(in_channels=256),
)
