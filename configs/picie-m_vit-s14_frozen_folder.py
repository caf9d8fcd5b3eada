"""PiCIE-M on frozen DINOv2 ViT-S/14 on a folder of your own images.

Recipe: docs/recipes.md (principal decoder, merged centroids); it is not in the paper.
Command: python tools/train.py configs/picie-m_vit-s14_frozen_folder.py
  --cfg-options train_dataloader.dataset.data_root=FOLDER model.decode_head.num_clusters=12
timm downloads the weights from its hub; model.backbone.weights=FILE takes them from a file.
"""

_base_ = './picie_vit-s14_frozen_folder.py'

model = dict(decode_head=dict(centroids_per_cluster=5))
default_hooks = dict(
    decoder=dict(type='PrincipalDecoderHook'),
    clustering=dict(warm_start=True, num_clusterings=2),
)
