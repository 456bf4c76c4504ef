import torch
from torch.nn import functional

from cvlnet.model.encoder import PaperEncoder, Pyramid, upsample_by_two
from formulas import by_formula, waves


def test_a_pyramid_adds_what_coarser_features_say_of_a_place():
    """By its own layers: each level's lateral convolution, the coarser ones brought to the finer stride."""
    encoder, images = by_formula(Pyramid(6)), waves(2, 3, 32, 64) / 4 + 0.5
    with torch.no_grad():
        four, eight, sixteen = (conv(x) for conv, x in zip(encoder.lateral, encoder.backbone(images), strict=True))
        merged = four + upsample_by_two(eight + upsample_by_two(sixteen))
        torch.testing.assert_close(encoder(images), encoder.smooth(functional.relu(merged)))
    assert [conv.kernel_size for conv in encoder.lateral] == [(1, 1)] * 3
    assert (encoder.stride, encoder.first_center_px) == (4, 3.5)


def test_upsampling_by_hand():
    """Coarse i lies at fine 2 i + 1; between two it is their mean, and before the first the first."""
    coarse = torch.tensor([[1.0, 3.0], [7.0, 9.0]]).reshape(1, 1, 2, 2)
    expected = [[1, 1, 2, 3], [1, 1, 2, 3], [4, 4, 5, 6], [7, 7, 8, 9]]
    assert upsample_by_two(coarse)[0, 0].tolist() == expected
    assert upsample_by_two(torch.rand(2, 3, 4, 6)).shape == (2, 3, 8, 12)


def test_the_paper_s_encoder_goes_from_512_to_128_to_its_channels():
    encoder, images = by_formula(PaperEncoder(6)), waves(1, 3, 32, 48) / 4 + 0.5
    first, _, last = encoder.reduce
    assert (first.in_channels, first.out_channels, last.out_channels) == (512, 128, 6)
    with torch.no_grad():
        features = last(functional.relu(first(encoder.backbone(images)[0])))
        torch.testing.assert_close(encoder(images), features)
    assert (encoder.stride, encoder.first_center_px) == (16, 8.0)
