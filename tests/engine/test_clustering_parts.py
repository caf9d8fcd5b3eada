"""Properties of the plan by which a clustering pass is cut into forward passes and batches."""

import itertools

from mmseg_picie.engine.clustering_parts import plan_parts

SIZES = itertools.product((1, 4, 13, 24), (1, 2, 3, 5, 40), (1, 4, 6), (1, 2, 9))


def test_every_image_falls_in_its_forward_pass_and_batch():
    for num_images, per_forward, per_batch, num_init in SIZES:
        plan = plan_parts(num_images, per_forward, per_batch, num_init)
        seen, batch = [], 0
        for index, parts in enumerate(plan):
            for part in parts:
                images = range(per_forward)[part.images]
                assert len(images) > 0
                for image in (index * per_forward + i for i in images):
                    seen.append(image)
                    assert image // per_batch == batch
                    assert part.is_initial == (batch < num_init)
                batch += part.ends_batch
        assert seen == list(range(num_images))
        assert batch == -(-num_images // per_batch)
