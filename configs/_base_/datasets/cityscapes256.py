"""Cityscapes-27 squashed to 256 x 256, trained on train and evaluated on val at 160 x 160.

In the layout of the official release, with images as .jpg. Small copies of Cityscapes go round in
this form, with label ids that were decoded from compressed colours. It is not the published
resolution: figures must not be compared with those of full-size Cityscapes.
"""

_base_ = './camvid.py'

data_root = 'data/cityscapes256'
published_images = dict(_delete_=True, Cityscapes27Dataset=dict(train=2975, val=500))

train_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='PairedViews', base_size=256, view_size=160),
    dict(type='PackPairedViews'),
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='Cityscapes27Dataset',
        data_root=data_root,
        splits=('train',),
        img_suffix='_leftImg8bit.jpg',
        data_prefix=dict(img_path='leftImg8bit'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='Cityscapes27Dataset',
        data_root=data_root,
        splits=('val',),
        img_suffix='_leftImg8bit.jpg',
        data_prefix=dict(img_path='leftImg8bit', seg_map_path='gtFine'),
        pipeline={{_base_.test_pipeline}},
    )
)
test_dataloader = val_dataloader
