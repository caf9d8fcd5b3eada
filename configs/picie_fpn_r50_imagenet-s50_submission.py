"""Writes the predictions of the ImageNet-S-50 test images, for the benchmark to score.

Command: python tools/test.py configs/picie_fpn_r50_imagenet-s50_submission.py CHECKPOINT
  [--out DIR]
It follows python tools/train.py configs/picie_fpn_r50_imagenet-s50.py, whose checkpoint knows the
classes of its clusters. For the validation images add
--cfg-options test_dataloader.dataset.data_prefix.img_path=validation
"""

_base_ = './picie_fpn_r50_imagenet-s50.py'

# Without a label map nothing is cropped: predictions have the sizes of the files.
test_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='ResizeCenterCrop', size=224),
    dict(type='PackSegInputs'),
]
test_dataloader = dict(
    batch_size=1,  # the images are of many shapes
    dataset=dict(data_prefix=dict(_delete_=True, img_path='test'), pipeline=test_pipeline),
)
test_evaluator = dict(
    _delete_=True,
    type='ImageNetSSubmission',
    root={{_base_.data_root}},
    output_dir='imagenet-s50_submission',
)
default_hooks = dict(visualization=dict(draw=False))
