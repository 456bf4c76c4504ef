from seeing import clip, image, map_file, middle, place_m, seeing_model, tiny_config, video, weights

__all__ = ["clip", "image", "map_file", "middle", "place_m", "seeing_model", "tiny_config", "video", "weights"]
