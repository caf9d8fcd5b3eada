"""Tokens of vision transformers as maps, against timm's own passes and attention by hand."""

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_picie.models import TIMMViT

timm = pytest.importorskip('timm')
SMALL = dict(depth=3, embed_dim=24, num_heads=2)
#: Without and with registers; with rotary embeddings, registers and another class of attention.
NAMES = ['vit_small_patch14_dinov2', 'vit_small_patch14_reg4_dinov2', 'vit_small_patch16_dinov3']
CASES = list(zip(NAMES, (14, 14, 16), strict=True))


def build(name: str = NAMES[0], **kwargs) -> TIMMViT:
    torch.manual_seed(0)
    model = MODELS.build(dict(type='TIMMViT', model_name=name, options=SMALL, **kwargs)).eval()
    for weight in model.parameters():  # such as scales of layers that start at zero
        torch.nn.init.normal_(weight, std=0.3)
    return model


def images(patch: int, rows: int = 2, columns: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, rows * patch, columns * patch, generator=generator)


def to_map(tokens: torch.Tensor, vit: torch.nn.Module) -> torch.Tensor:
    """Tokens (N, L, D), class and registers first, row by row, as a map of 2 x 3 patches."""
    patches = tokens[:, vit.num_prefix_tokens :]
    assert patches.shape[1] == 6
    return torch.stack([patches[:, :3], patches[:, 3:]], 1).movedim(3, 1)


@pytest.mark.parametrize(('name', 'patch'), CASES)
@pytest.mark.parametrize('norm', [True, False])
def test_the_last_blocks_tokens_are_what_the_transformer_returns(name, patch, norm):
    model = build(name, norm=norm)
    (found,) = model(images(patch))
    torch.testing.assert_close(found, to_map(model.vit.forward_features(images(patch)), model.vit))
    assert found.shape[1] == model.out_channels == 24
    assert any('norm.' in key for key in model.vit.state_dict() if key.startswith('norm')) == norm


def test_tokens_of_an_earlier_block_are_those_of_a_shorter_transformer():
    """In the order that is asked for, whichever it is."""
    last, first = build(out_indices=(-1, 0), norm=False)(images(14))
    whole, short = build(norm=False), build(norm=False)
    short.load_state_dict(whole.state_dict())
    short.vit.blocks = short.vit.blocks[:1]
    torch.testing.assert_close(last, whole(images(14))[0])
    torch.testing.assert_close(first, to_map(short.vit.forward_features(images(14)), short.vit))


def test_blocks_that_are_not_used_are_left_out():
    model = build(out_indices=(1,))
    assert len(model.vit.blocks) == 2
    assert not any('blocks.2.' in key for key in model.state_dict())


@pytest.mark.parametrize(('name', 'patch'), CASES)
def test_keys_are_those_that_attention_compares_with(name, patch, monkeypatch):
    """Attention is asked for them: a query's weights are a softmax of products with its keys."""
    model = build(name, tokens='key', out_indices=(1,))
    seen = []

    def attend(queries, keys, values, **kwargs):
        seen.append(keys)
        return values

    module = 'eva' if 'dinov3' in name else None
    place = 'timm.models.eva' if module else 'timm.layers.attention'
    monkeypatch.setattr(f'{place}.F.scaled_dot_product_attention', attend)
    if module:  # positions are turned into keys behind the projection
        monkeypatch.setattr(f'{place}.apply_rot_embed_cat', lambda tokens, *args, **kw: tokens)
    (found,) = model(images(patch))
    keys = seen[1].transpose(1, 2).flatten(2)  # (N, heads, L, d) -> (N, L, D)
    torch.testing.assert_close(found, to_map(keys, model.vit))


@pytest.mark.parametrize(('rows', 'columns'), [(1, 1), (5, 2), (2, 7)])
def test_any_size_and_aspect_of_whole_patches_is_taken(rows, columns):
    for tokens in ('patch', 'key'):
        (found,) = build(tokens=tokens)(images(14, rows, columns))
        assert found.shape == (2, 24, rows, columns)


def test_weights_are_read_from_a_file_of_timms_names_or_of_a_segmentor(tmp_path):
    whole = build()
    state = whole.vit.state_dict()
    files = {
        'timm.pth': state,
        'wrapped.pth': dict(state_dict=state, meta={}),
        'segmentor.pth': {f'backbone.vit.{key}': value for key, value in state.items()},
    }
    for name, content in files.items():
        torch.save(content, tmp_path / name)
        other = build(out_indices=(0,), weights=str(tmp_path / name))
        other.init_weights()
        for key, value in other.vit.state_dict().items():
            assert torch.equal(value, state[key])


def test_weights_of_another_model_are_refused_by_name(tmp_path):
    state = build().vit.state_dict()
    path = tmp_path / 'cut.pth'
    torch.save({key: value for key, value in state.items() if 'blocks.1.mlp' not in key}, path)
    with pytest.raises(ValueError, match=f'{path} 4 are missing .* such as blocks.1.mlp'):
        build(weights=str(path)).init_weights()
    build(weights=str(path), out_indices=(0,)).init_weights()  # these are all there
    with pytest.raises(FileNotFoundError, match="weights names the file 'nowhere.pth'"):
        build(weights='nowhere.pth').init_weights()


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(model_name='vit_smal'), 'timm .* does not know'),
        (dict(model_name='resnet18', options={}), 'must be a plain vision transformer'),
        (dict(out_indices=(3,)), r'from 0 to 2 \(or from -1 to -3\), but got \(3,\)'),
        (dict(out_indices=()), r'but got \(\)'),
        (dict(tokens='query'), "one of .*'key'.* but got 'query'"),
    ],
)
def test_what_cannot_be_is_refused(options, words):
    config = dict(type='TIMMViT', model_name=NAMES[0], options=SMALL)
    with pytest.raises(ValueError, match=words):
        MODELS.build({**config, **options})
