"""COCO-Stuff-27 on the public layout, with the benchmark's image lists.

data/cocostuff/{train2017,val2017}/*.jpg, data/cocostuff/stuffthingmaps/{train2017,val2017}/*.png,
data/cocostuff/lists/{train2017,val2017}.txt (set ann_file='' to use all images).
"""

data_root = 'data/cocostuff'
published_images = dict(COCOStuff27Dataset=dict(train=49629, val=2175))

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
        type='COCOStuff27Dataset',
        data_root=data_root,
        ann_file='lists/train2017.txt',
        img_suffix='.jpg',
        data_prefix=dict(img_path='train2017'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='COCOStuff27Dataset',
        data_root=data_root,
        ann_file='lists/val2017.txt',
        img_suffix='.jpg',
        data_prefix=dict(img_path='val2017', seg_map_path='stuffthingmaps/val2017'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='HungarianIoUMetric')
test_evaluator = val_evaluator
