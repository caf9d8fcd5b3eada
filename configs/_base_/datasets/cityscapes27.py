"""Cityscapes-27 on the public layout, as the paper splits it.

Trained without labels on test and train_extra, evaluated on train and val:
data/cityscapes/leftImg8bit/{train,val,test,train_extra}/CITY/*_leftImg8bit.png,
data/cityscapes/gtFine/{train,val}/CITY/*_gtFine_labelIds.png.
"""

data_root = 'data/cityscapes'
published_images = dict(Cityscapes27Dataset=dict(train=21523, val=3475))

train_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='PairedViews', base_size=640, view_size=320),
    dict(type='PackPairedViews'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='LoadAnnotations'),
    dict(type='RemapLabels'),
    dict(type='ResizeCenterCrop', size=320),
    dict(type='PackSegInputs'),
]
flips = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)]
augmentations = [*([step] for step in test_pipeline[1:-1]), flips, test_pipeline[-1:]]
tta_pipeline = [test_pipeline[0], dict(type='TestTimeAug', transforms=augmentations)]
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='EpochKeySampler'),
    dataset=dict(
        type='Cityscapes27Dataset',
        data_root=data_root,
        splits=('test', 'train_extra'),
        data_prefix=dict(img_path='leftImg8bit'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='Cityscapes27Dataset',
        data_root=data_root,
        splits=('train', 'val'),
        data_prefix=dict(img_path='leftImg8bit', seg_map_path='gtFine'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='HungarianIoUMetric')
test_evaluator = val_evaluator
