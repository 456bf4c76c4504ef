"""The paper's alternatives to GVP and PCSF, for its ablation tables."""
