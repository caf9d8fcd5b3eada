"""Pascal VOC 2012, 20 classes and background, at 320 x 320 (docs/datasets.md says how to get it).

Trained without labels on the list trainaug, evaluated on val.
"""

data_root = 'data/VOCdevkit/VOC2012'
published_images = dict(VOC21Dataset=dict(train=10582, val=1449))

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
        type='VOC21Dataset',
        data_root=data_root,
        data_prefix=dict(img_path='JPEGImages'),
        ann_file='ImageSets/Segmentation/trainaug.txt',
        img_suffix='.jpg',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='VOC21Dataset',
        data_root=data_root,
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/val.txt',
        img_suffix='.jpg',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='HungarianIoUMetric')
test_evaluator = val_evaluator
