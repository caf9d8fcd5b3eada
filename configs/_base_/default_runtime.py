"""What every run shares: imports, environment, logging, seed."""

default_scope = 'mmseg'
custom_imports = dict(imports=['mmseg_picie'], allow_failed_imports=False)

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
# Views, order and clusters are functions of the seed; a run without one is refused.
randomness = dict(seed=0)

# For TensorBoard: vis_backends = [..., dict(type='TensorboardVisBackend')]
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='SegmentVisualizer', vis_backends=vis_backends, name='visualizer', alpha=0.6)
# For --tta; the base config of the data set says which augmentations.
tta_model = dict(type='ViewTTAModel')
log_processor = dict(by_epoch=True)
log_level = 'INFO'
load_from = None
resume = False
