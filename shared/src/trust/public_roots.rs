//! The keys of publicly trusted roots: under these anybody can get a certificate.
//!
//! Written by `cargo xtask docs` from crate `webpki-root-certs` (Mozilla's list); do not edit.

use alloc::string::ToString as _;

use crate::wire::thumbprint::Thumbprint;

/// The day the list was read.
pub const READ_ON: &str = "2026-11-21";

/// Whether the key is that of a publicly trusted root.
pub(super) fn contains(key: &Thumbprint) -> bool {
    KEYS.binary_search(&key.to_string().as_str()).is_ok()
}

/// SHA-256 over the SubjectPublicKeyInfo of each root, in base64url and in order.
#[rustfmt::skip]
const KEYS: [&str; 118] = [
    "--MBgDH5WGvL9Bcn5Be30cRcL0f5O-NyoXuWtQdX1aI", // Amazon Root CA 1
    "0cRTd-vc1hjNFlHcLgLCHXUeWqn80bNDH_bs9qMTSPo", // SSL.com Root Certification Authority RSA
    "1DndgPHjvFyeXxPov_eoiH353Bw-Gddq9wyPjZhe7yI", // OISTE Server Root ECC G1
    "3V7RwJD59EgGG6qUprsRAXVE6e76ogzHFM5sYz9dxik", // CFCA EV ROOT
    "3ntpMunERYLODeB6vat-6pDHXW0qBzMd9XvVy4hVPRM", // Certum EC-384 CA
    "4EoCLOMvTM8sf2BGKHuCijKpCfXnUUR_g_0scfb9gXM", // GlobalSign Root E46
    "4GZH5SYQFgw-g8QtIuOaqHUMWE1sJK-u1UphFkdCAAo", // vTrus Root CA
    "51PN2fE0E8fKnNqCli-MDOXtE9FlcxKVSvUmfrLLfHk", // D-TRUST EV Root CA 2 2023
    "58qRu_uxh4gFezqAcERupSkRYBlBAvfcw7mEjGPLnNU", // COMODO ECC Certification Authority
    "68VfIeiNSe3oHAB1qwizxzuB8PM-N9dkGh0BtuYC3J0", // BJCA Global Root CA1
    "68l4rg3Z5YItaxllJZb2IMk9fK76lSGRywUKYyypAF8", // SwissSign RSA TLS Root CA 2022 - 1
    "6rDeWkZBkBCwGy1VVT_BEaqCtD2Tle3-rqqMduatGZU", // Telekom Security TLS ECC Root 2020
    "7KDxgUAs56hlKzG00DbfJH46MLf0GlDZHsT5CwBrQ6E", // D-TRUST Root Class 3 CA 2 2009
    "80OOI7POUyUi-s8weSP1j9GGCOm6et3DDpUrQ8SWFsM", // QuoVadis Root CA 3 G3
    "8AEfkvz5vjbHpbNue8hiqyDpTvNv6opWHbCo13UMH1E", // SecureSign Root CA15
    "8OC2--i3TU-C2O2Pi9aj0IPcGds9LO2xBhzLdthI7n0", // SECOM TLS RSA Root CA 2024
    "8ca6Zwz8iOTfUpc8rkIPCgid1HQUT-WAbEIAZOFZEik", // DigiCert Assured ID Root G2
    "9-ze1cZgR9KO1kZrVDxA4HQ6voHRCSVNz4RdTCx4U8U", // Amazon Root CA 4
    "98p3phDj1CRHJAaS29V8_RPPBCrNIGLmpiuHue2Bwac", // Atos1
    "9GMuWHAcC9fa_H44MTVexDP8E3d94oZoPo7FCWTfBFI", // TrustAsia TLS ECC Root CA
    "9Iut199qBmkNCuMTc7EoVfje2xRRfzYqMTEBzJjMazU", // NetLock Arany (Class Gold) Főtanúsítvány
    "B-hU8mp8vTiZJ6oEG_7xts0h3RQ4GK2UfcZVqeWH_og", // IdenTrust Commercial Root CA 1
    "B6KQTUv_lgTqEzGumQ6f_jMSMuaey4oIzUnY40dX20E", // TrustAsia Global Root CA G4
    "BVcK5usPzrQhDm23lIa3CUyvIAQB4Um2Z3RBtfJeRJs", // ACCV1
    "BmALlMAxi7aWfwx3h8yKEDKhecTpXjxXYLMuKQ9_7Js", // TWCA CYBER Root CA
    "C5-lpZ7tcVwmwQIMcRtPbsQtWLABXhQzejna0wHFr8M", // ISRG Root X1
    "CLOmM1_OXvSPjw5UOYbAf9GKOxImEp9hhku9W90fHMk", // GlobalSign
    "DgXpuyOGnraJ3FaDnc7EdaOudfprULxaSXg2DL5nMyM", // Telekom Security TLS RSA Root 2023
    "Douxi77vs4G-Ib_BogbTFymEYq0QSFXwSgVCaZcI09Q", // Sectigo Public Server Authentication Root R46
    "ElXKvoFS-mTflC96R0F-KflsHOEb-MhOy-KBXMEoCBA", // UCA Global G2 Root
    "FJ8u5juaXlgDJAp3DcmR_C40ReYoMcJFpJvE8fc4_5w", // OISTE WISeKey Global Root GB CA
    "Fe7TOVlLME-M-Ee0dzcdjW_sYfTbKwGvWJ58U7Ncrkw", // DigiCert Assured ID Root G3
    "G_ANXI8TwJTdF-AFBM8IiIUPEv0Gf6H5LA_b9guG4yE", // SSL.com TLS ECC Root CA 2022
    "HvZGJdqi5dQz10Sa4xogDRAl4AEqj-z6cJMvi1mbdd0", // Certainly Root E1
    "ICGRfpgmOUXIWcQ_HXPLQTkFPEFPoDyjvH7ohhQpjzs", // USERTrust ECC Certification Authority
    "JUHlO6WzsHrL5wl6xKA-BAwRz3ptSmfLIT1Vi1AWegY", // Hongkong Post Root CA 3
    "JdSRPPWHCXQU0p0m9sGxlCzW1k6vRdD8-BUmrbqW0yQ", // Actalis Authentication Root CA
    "K89VOmb1cJAN3TK6bf4ezAbJGC1mLcG2Dh97dnwr3VQ", // SSL.com TLS RSA Root CA 2022
    "KUZ54Pl__UdPGVZ7NjgjlOG0lg4DCXXmY1NFIDSjxeo", // SECOM TLS ECC Root CA 2024
    "Ko8tivDrEjiY90yGasP6ZpBU4jwXvHqVvQI0GS3GNdA", // Go Daddy Root Certificate Authority - G2
    "KwccWaCgrnaw6tsrrSO61FgLacNgG2MMLq8GE6-oP5I", // 2Starfield Services Root Certificate Authority - G2
    "L8VmekuaJnjtasatJUZfy_YJS_zZUECXx6j6R63l6Ig", // AC RAIZ FNMT-RCM
    "M4BwmvOwlr48wqQFSBQsClIAKNsJ4st3riIGYWq2y7Q", // Security Communication RootCA2
    "Mym_oTtgB6tfw3E_CssolCbi-8mcxcEQqRSxOVcWALY", // Security Communication ECC RootCA1
    "N2oacIKlk9zMINVh0Rnpq40w8RzDIdCjf6QfDfKE4Bw", // emSign Root CA - G1
    "NIdnza073SiyuN1TUa7DDGjOxc1p0nbfOCfbxPWAZGQ", // SSL.com EV Root Certification Authority ECC
    "NfU84SZGEeAzQP434ex9TMmGxWE9ynD9BKpEVF8tryg", // Microsoft ECC Root Certificate Authority 2017
    "NqvDJlas_GRcYbcWE8S_IceH9cq77kg0jVhZeAPXq8k", // Amazon Root CA 3
    "Ow1ztL5KhUrcPlHX75-kiu-7LN2CTWe9x9fQmiq8LUM", // 9Autoridad de Certificacion Firmaprofesional CIF A62634068
    "P5Pz_PedIl0hPu9qSj9Yhc-E_j16ejwRVTUXaIwOIQA", // Certainly Root R1
    "QXnt2YHvdHR3tJYmQIr0Paosp6t_nggsEGD4QJZ3Q0g", // GTS Root R3
    "QkMWJ-p2zHhpf5FeNFWxsuyC_y9jgO5kI-88CEC35jE", // e-Szigno Root CA 2017
    "R0h5AKG-ue4IzLwRFqjsVfRUtjiZQxnwUbmEAjztZCM", // e-Szigno TLS Root CA 2023
    "RTt0gJtpAZYn8vhDAB21lQzdHUU3EFPn89_bw3FBE8Y", // AC RAIZ FNMT-RCM SERVIDORES SEGUROS
    "SkntvS-PgjC9VZKzE1c_4cFypF-pgBHMHt27Nq3j_OU", // QuoVadis Root CA 2 G3
    "TIIdfYmt8IwelRySuEG0o8GCYbnOQm8zfMDjgFSZug4", // Telia EC TLS Root CA v3
    "U2z9ropiV78UJmxDKFlY0Pm5N-MGjiohU3QXATOp_8w", // Telia RSA TLS Root CA v3
    "UMyGupbbMmPHmkPq0HVT2fVmWeaQfnLYwCZjehzchdw", // 7Hellenic Academic and Research Institutions RootCA 2015
    "VeAL4nfOsFRSmfJP2fh34qzzKFLbQ__NKbynSzm0yfo", // TUBITAK Kamu SM SSL Kok Sertifikasi - Surum 1
    "ViiHLiRf5mFIuAut6snED2JS5kL6lZWuzks-ili4_UY", // TrustAsia TLS RSA Root CA
    "WBzBWCEWlpTDnCmRtT6Tq5RaQrB2Zhd0wuzzijMjrOo", // SecureSign Root CA14
    "WN1h_rNup9JYckNxcJFJyxITN4ZMrLLQmZrSBznQZHc", // IdenTrust Public Sector Root CA 1
    "WVWuKRV0qTE0LPdFDhZlLt4eD7MJfhVx36wRyRVgFWQ", // Buypass Class 2 Root CA
    "Wd8xe_qfTwq3ylFNd3IpaqLHZbh2ZNCLluVzmeNkcpw", // DigiCert Trusted Root G4
    "XEGnOrLDXfzXcfb9bj6PrJtGnThsrdpWqVtkbrSMyjQ", // UCA Extended Validation Root
    "YD928oyf66g-x1HttmyNdSPqQP5J_nRCdin1Dau89Vo", // D-TRUST BR Root CA 1 2020
    "YIljx4xFXm40sHJGis4JVs_xjTRkP58wW3Fi-hgZefw", // Atos1
    "YQbA46CimYMYdRJ719PMGFmAPVEcrBHrbghA3RZvwQ4", // T-TeleSec GlobalRoot Class 2
    "YWFnIBQzrqbI5eMHCvyvZ0kYj4FL0auxea6NrTq_Juw", // info@e-szigno.hu
    "_HhDAOyN9NPRutdjg1GCkY1Sqf8COL32laHNm9uYMhw", // HARICA TLS ECC Root CA 2021
    "_Tcb6pdV_2DIgoyEm45SFd5TLWGwCYVfoK1jDZDu-C4", // OISTE WISeKey Global Root GC CA
    "_zQvtsTIvTCkcG9zSJU58Z5uSMwF9GJUZU9mENvFQOk", // D-TRUST Root Class 3 CA 2 EV 2009
    "aB3EgsKWyEAsbrsg5oMJo7yEZSOuNLmEqE7ml6MxLbc", // Certum Trusted Root CA
    "aCdH-LpiG4fN07wpXtXKvOciocDANj0daLOJKNJ4fx4", // GlobalSign
    "aTyaprJFs7AmFjd1CGPq22wkihblLW9LyQyGu_MtcEI", // HARICA TLS RSA Root CA 2021
    "ape1HIIZ6T5d7GS61YBs3rD4NVvkfnVwELcCRW4Bqv0", // DigiCert TLS RSA4096 Root G5
    "aztX6eyI0bs9AWN_8zx2mLPJdYJV6fAeqRePPn87K1I", // Certum Trusted Network CA 2
    "bjZLYTPe79y7ISc8X0RaIK-8BQONWwIcDCFTA5AWNFs", // SZAFIR ROOT CA2
    "cCEWzNi_I-FkZvDg26DtaiOanBzWqPWmazmvNZUCA4U", // CA Disig Root R2
    "cGuxAXyFXFkWm61cF4HPWX8S0srS9j0aSqN0k4AP-4A", // GlobalSign
    "diGVwiVYbubAI3RW4hB9xU8e_CH2GnkuvVFZE8zmgzI", // ISRG Root X2
    "eG_6V4YYw7mjERdeUIFvTdoGBcOGnyluvFlDvwn06QQ", // NAVER Global Root Certification Authority
    "ecqvU0fm5KlMjniphJb8dAIPgJ7eE_Ig-rYQTI3tMp8", // HiPKI Root CA - G1
    "f0KW_FtqTjs108NpYj42SrGvOB2PpxIVM8nWxjPqJGE", // Amazon Root CA 2
    "fNZ8JI9p2D_C-bsB3LH3rWejY9BGBDeW0JhMOiMfa7A", // SSL.com EV Root Certification Authority RSA R2
    "fg6tdrtoGdwvVFEahDVPboswe53YIFjqbABPAdndpd8", // GlobalSign
    "gI1os_q0iEpflxrOfRBVDXqVoWN3Tz7Dav_7IT--THQ", // Starfield Root Certificate Authority - G2
    "grX4Ta9HpZx6tSHkmCrvpApTQGo67CYDnvprLg5yRME", // COMODO RSA Certification Authority
    "hoWthQ9_Vs0WlDvLcLQ05zVuG4vcYTQG4uqN5GCStjY", // TrustAsia Global Root CA G3
    "hqaPBQA0EmpUDTnbLF-RfvZqlPuWGfoezYJ86ka6DLA", // QuoVadis Root CA 1 G3
    "hxqRlPTu1bMS_0DITB1SSu0vd4u_8l8TjPgfaAp63Gc", // GTS Root R1
    "i7WTqTvh0OioIruIfFR4kMPnBqrS2rdiVPl_s2uC_CY", // DigiCert Global Root G2
    "jXZ3ZLPL2giSnQcqIqVh9NzdG8V9PL3clIxH0rR_kSI", // T-TeleSec GlobalRoot Class 3
    "joBG7EysAVpQfODS0BVKS0Do5CsxZc-lRlcUNREtF-U", // Certigna Root CA
    "ksRoeWJu8swezqUMcvteOFhECV8hy_Oyg8uC5rn8alg", // TWCA Root Certification Authority
    "lSwgOcAkPrUV3XPYP8NkMYSHT-sIYqmDdzHtm0dC4Xo", // Izenpe.com
    "mEflZT5enoR1FuXLgYYGqnVEoZvmf9c2bVBpiOjYQ0c", // GTS Root R4
    "mlL_ajy241OghWfg3Jw5WzANYKIikquMGMFlaymDrpA", // ANF Secure Server Root CA
    "nTfkqYnqs4gtEWBS_ItYRGcCy1k3JuRgTDeVlAxxA-I", // D-TRUST EV Root CA 1 2020
    "oC-voZLIy4HLE0FVT5wFtxzKKokLDRKY1oNkfJYe-98", // DigiCert TLS ECC P384 Root G5
    "oka4Ivls_swVUVblR2lXhFSSrPMhh-yKLvEtiWGNcR0", // vTrus ECC Root CA
    "oyD01TTXvpfBro3QSZc1vIlcMjrdLTiL_M9mLCPX-Zo", // SSL.com Root Certification Authority ECC
    "qiYwp7YXsE0KKUureoyqpQFubb5gSDeoOoVxn6tmfrU", // Certum Trusted Network CA
    "rHb2OkbnYbWswyWXBckgy38FY9JI2NGA-TSvaAmaFfk", // D-TRUST BR Root CA 2 2023
    "rn-WLLnmp9v3uDP7GPqbcaiRdd-UnCMrap73yz3yu_w", // GlobalSign Root R46
    "sD2HsFbQjMnU5nXvGcqDq1NTIWioJYWYvnLm2Fx918E", // Buypass Class 3 Root CA
    "sLVjNUaFYfW7n6EtgBeEpjOlcnBdNPMrZDRF36iwBdE", // Sectigo Public Server Authentication Root E46
    "svcpi1K_LDysTd_nLeTWgqxYlXWVmC8rYjAa9ZfGmcU", // Microsoft RSA Root Certificate Authority 2017
    "u1IIbQY56NszJ3Wsj06ENdks6wD04k8o_A6r4kB3LoA", // Hellenic Academic and Research Institutions ECC RootCA 2015
    "uUwZgwDOxcBXrQcntwu-kYFpkiVkOaezL0WYEZ3anJc", // DigiCert Global Root G3
    "uWThQdOlXK4YDqahqNSil94m8RgzxnNWnRlvtTOphxA", // OISTE Server Root RSA G1
    "wrPDGkophQqo889HKhFp_3G0FlefakSC7HdEuD35iKw", // Telia Root CA v2
    "x4QzPSC810K5_cMjb05Qm4k3Bw5zBn4lTdO_nEW_Td4", // USERTrust RSA Certification Authority
    "xES1tmzl1x4bXkDyc4XJXL_SSgW1b3DKwJkvD1DDN5w", // TWCA Global Root CA
    "y617HThISd8JRrfujn9ffOOu2Hb9p7ydMNixbyn_LFM", // certSIGN ROOT CA G2
    "yUImLAx8CpW7FStxxCVW3b6aBPqDeDc1UNK3zifZUqM", // TunTrust Root CA
    "zJSloDGf93pMyt2CHExZZ05E1SgWy9Hf4sdhNwrU0hw", // BJCA Global Root CA2
    "zrGUEcZQUsdX-UHrgmyWlB5NCNCWx9t-fqPE-ME_GhM", // GDCA TrustAUTH R5 ROOT
];
